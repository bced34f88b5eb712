;; Two further threads write to a pipe that the first one reads. When that has read both,
;; the process ends, though one thread sleeps.
(module
  (import "host" "thread_spawn" (func $thread_spawn (param i32) (result i32)))
  (import "host" "kill" (func $kill (param i32 i32) (result i32)))
  (import "host" "getpid" (func $getpid (result i32)))
  (import "host" "exit" (func $exit (param i32) (result i32)))
  (import "host" "pipe" (func $pipe (param i32) (result i32)))
  (import "host" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "host" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "host" "sleep" (func $sleep (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "thread") (param $n i32)
    (drop (call $write (i32.const 1) (i32.const 0) (local.get $n)))
    (if (i32.eq (local.get $n) (i32.const 2)) (then (drop (call $sleep (i32.const 1000000))))))
  (func (export "main") (param i32) (local $sum i32)
    (drop (call $pipe (i32.const 0)))
    (drop (call $thread_spawn (i32.const 1)))
    (drop (call $thread_spawn (i32.const 2)))
    (loop $more
      (local.set $sum (i32.add (local.get $sum) (call $read (i32.const 0) (i32.const 8) (i32.const 8))))
      (br_if $more (i32.lt_s (local.get $sum) (i32.const 3))))
    (if (i32.eqz (call $kill (call $getpid) (i32.const 0))) (then (drop (call $exit (local.get $sum)))))))
