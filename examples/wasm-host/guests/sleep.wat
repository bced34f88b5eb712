;; Sleeps for ever.
(module
  (import "host" "sleep" (func $sleep (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "main") (param i32) (loop $more (drop (call $sleep (i32.const 1000000))) (br $more))))
