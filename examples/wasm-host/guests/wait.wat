;; Waits for ever, for a child that sleeps for ever.
(module
  (import "host" "spawn" (func $spawn (param i32) (result i32)))
  (import "host" "waitpid" (func $waitpid (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "main") (param i32)
    (drop (call $spawn (i32.const 4))) ;; sleep
    (loop $more
      (drop (call $waitpid (i32.const -1) (i32.const 0) (i32.const -1)))
      (br $more))))
