;; Calls a function of the host that panics.
(module
  (import "host" "panic" (func $panic (result i32)))
  (memory (export "memory") 1)
  (func (export "main") (param i32) (drop (call $panic))))
