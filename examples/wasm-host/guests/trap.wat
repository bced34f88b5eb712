;; Does what a WASM program must not.
(module
  (memory (export "memory") 1)
  (func (export "main") (param i32) unreachable))
