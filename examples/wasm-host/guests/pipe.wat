;; Reads what a child writes; ends with how much that was, or with what went wrong.
;; The same program is the child, by its number: it writes to descriptor 1.
(module
  (import "host" "spawn" (func $spawn (param i32) (result i32)))
  (import "host" "waitpid" (func $waitpid (param i32 i32 i32) (result i32)))
  (import "host" "getpid" (func $getpid (result i32)))
  (import "host" "getppid" (func $getppid (result i32)))
  (import "host" "exit" (func $exit (param i32) (result i32)))
  (import "host" "pipe" (func $pipe (param i32) (result i32)))
  (import "host" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "host" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "host" "close" (func $close (param i32) (result i32)))
  (import "host" "dup2" (func $dup2 (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "hello, parent")
  (func $check (param $ok i32) (param $code i32)
    (if (i32.eqz (local.get $ok)) (then (drop (call $exit (local.get $code))))))
  (func (export "main") (param $reader i32) (local $pid i32) (local $n i32) (local $sum i32)
    (if (i32.eq (call $write (i32.const 1) (i32.const 64) (i32.const 13)) (i32.const 13))
      (then (drop (call $exit (i32.const 3)))))
    ;; Descriptor 1 is not open: the parent. It has 0 and 1 for the pipe.
    (call $check (i32.eqz (call $pipe (i32.const 0))) (i32.const 101))
    (call $check (i32.eq (i32.load (i32.const 4)) (i32.const 1)) (i32.const 102))
    (local.set $pid (call $spawn (i32.const 3)))
    (call $check (i32.gt_s (local.get $pid) (call $getppid)) (i32.const 103))
    (call $check (i32.eq (call $dup2 (i32.const 0) (i32.const 9)) (i32.const 9)) (i32.const 104))
    (call $check (i32.eqz (call $close (i32.const 0))) (i32.const 105))
    ;; The child has the other writer.
    (call $check (i32.eqz (call $close (i32.const 1))) (i32.const 106))
    (loop $more
      (local.set $n (call $read (i32.const 9) (i32.const 128) (i32.const 5)))
      (local.set $sum (i32.add (local.get $sum) (local.get $n)))
      (br_if $more (i32.gt_s (local.get $n) (i32.const 0))))
    (call $check (i32.eq (call $waitpid (local.get $pid) (i32.const 16) (i32.const 60000)) (local.get $pid)) (i32.const 107))
    (call $check (i32.eq (i32.load (i32.const 16)) (i32.const 0x300)) (i32.const 108))
    ;; ECHILD
    (call $check (i32.eq (call $waitpid (i32.const -1) (i32.const 16) (i32.const 0)) (i32.const -10)) (i32.const 109))
    (drop (call $exit (local.get $sum)))))
