;; Computes for ever.
(module
  (memory (export "memory") 1)
  (func (export "main") (param i32) (loop $more (br $more))))
