//! Benchmarks of lwproc. Everything is in the bench targets, whose peers are
//! dev-dependencies: `ci/bench.sh` runs them, `docs/PERFORMANCE.md` says how.
