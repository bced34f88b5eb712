;; Computes for a while, and exits with 7.
(module
  (import "host" "exit" (func $exit (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "main") (param i32) (local $n i32) (local $sum i32)
    (loop $more
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (local.set $sum (i32.add (local.get $sum) (local.get $n)))
      (br_if $more (i32.lt_s (local.get $n) (i32.const 9999))))
    ;; 49,995,000
    (drop (call $exit (i32.div_u (local.get $sum) (i32.const 7142142))))))
