//! What a thread does at random to what a process or an LWP has.

use super::becoming::Become;
use super::host::What;
use super::worker::{Counted, Counting, Entered, Random, Worker};
use lwproc::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// How many kinds of operations [`Worker::service`] knows.
pub const SERVICES: usize = OLD + 18;
/// Of those, descriptors, groups, signals, credentials, limits, specific data, ends.
const OLD: usize = 24;

impl Worker<'_> {
    /// Something to what the process or the LWP has.
    pub fn service(&mut self, k: &mut Entered<'_>, number: i32, kind: usize) {
        let fd = |random: &mut Random| Fd(random.below(20) as i32);
        let host = self.kernel.host();
        match kind {
            0..=2 => drop(k.files().open(host.new_one(), OnExec::Keep)),
            3 | 4 => drop(k.files().close(fd(&mut self.random))),
            5 => drop(k.files().dup2(fd(&mut self.random), fd(&mut self.random))),
            6 => drop(k.files().set_on_exec(fd(&mut self.random), OnExec::Close)),
            7 => drop(k.files().get(fd(&mut self.random)).map(|file| file.handle())),
            8 => drop(k.groups().setsid()),
            9 => drop(k.groups().setpgid(Pid(0), Pid(number))),
            10 => drop(k.groups().setpgid(Pid(number), Pid(0))),
            11 => drop(k.groups().setpgid(Pid(number), k.groups().pgid())),
            12 => drop(
                k.signals().kill(KillTarget::Proc(Pid(number)), 1 + self.random.below(64) as i32),
            ),
            13 => drop(k.signals().kill(KillTarget::OwnPgrp, 15)),
            14 | 15 => {
                k.signals().take();
            }
            16 => drop(
                k.signals().set_blocked(SigSet::from_bits(self.random.below(usize::MAX) as u64)),
            ),
            17 => self.change_cred(k),
            18 => {
                let limit = Limit { soft: 16 + self.random.below(8) as u64, hard: 24 };
                let _ = k.resources().set_limit(Resource::Nofile, limit);
            }
            19 => drop(k.data().set_proc(self.gear.proc, host.new_one())),
            20 => drop(k.data_mut().set_lwp(self.gear.lwp, host.new_one())),
            21 => {
                if k.pid() > Pid::INIT && k.exit_group(ExitStatus::exited(1)).is_ok() {
                    assert!(k.curlwp().is_none());
                }
            }
            22 => {
                if k.pid() > Pid::INIT {
                    k.drain();
                    if k.exec("execed").is_err() {
                        k.reopen();
                    }
                }
            }
            23 => {
                let guard = self.kernel.pin();
                let mut seen = HashSet::new();
                if let Some(group) = guard.pgrp(Pid(number)) {
                    assert!(group.members().all(|p| seen.insert(p.identity())), "seen twice");
                    let _ = (group.sid(), group.is_orphaned());
                }
            }
            _ => self.more(k, number, kind - OLD),
        }
    }

    /// init's real and effective uid only: it must come back.
    fn change_cred(&mut self, k: &mut Entered<'_>) {
        let (id, other) = (self.random.below(3) as u32, self.random.below(3) as u32);
        let kinds = if k.pid() > Pid::INIT { 11 } else { 5 };
        let change = match self.random.below(kinds) {
            0 | 1 => CredChange::SetEuid(id),
            2 => CredChange::SetResuid(Some(id), None, None),
            3 => CredChange::SetEgid(id),
            4 => CredChange::SetRegid(Some(id), Some(other)),
            5 => CredChange::SetUid(id),
            6 => CredChange::SetReuid(Some(id), Some(other)),
            7 => CredChange::SetResgid(Some(id), None, Some(other)),
            8 => CredChange::SetGroups(Arc::from([id, other])),
            9 => return k.creds().update(),
            // As in a login: by no rule, so that privileges come back.
            _ => {
                let change = CredChange::SetResuid(Some(id), Some(0), Some(0));
                let done = k.creds().commit(|_| Cred::superuser().changed(&change));
                return done.expect("the superuser may");
            }
        };
        match k.creds().set(&change) {
            Ok(()) | Err(CredError::NotPermitted) => {}
            Err(other) => panic!("{change:?}: {other}"),
        }
    }

    /// Something to the services that a kernel is configured with, and those that only
    /// the embedder looks at.
    fn more(&mut self, k: &mut Entered<'_>, number: i32, kind: usize) {
        let (kernel, host) = (self.kernel, self.kernel.host());
        let on = self.random.below(2) == 0;
        match kind {
            0 | 1 => match k.become_child_with(host.give(What::Space), Rfork::Fresh) {
                Ok(old) => {
                    assert!(k.process().vmspace().is_some());
                    let mark = k.data().set_proc(self.gear.space, host.new_one());
                    assert!(mark.expect("this kernel's").is_none());
                    self.keep(old);
                }
                Err(error) => {
                    use SpawnError::{IdsExhausted, KernelFull, Limit};
                    assert!([IdsExhausted, KernelFull, Limit].contains(&error), "{error}");
                }
            },
            2 if k.pid() > Pid::INIT => {
                let limit = Limit::both(2 + self.random.below(8) as u64);
                let got = k.resources().set_limit(Resource::Nproc, limit);
                assert!(!k.cred().is_superuser() || got.is_ok(), "{got:?}");
            }
            3 => {
                let nproc = if on { Enforcement::Enforced } else { Enforcement::Ignored };
                kernel.set_limits_policy(LimitsPolicy::default().with_nproc(nproc));
            }
            4 => {
                let emul = self.gear.emuls[self.random.below(3)];
                kernel.set_default_emul(emul).expect("this kernel's");
                assert!(self.gear.emuls.contains(&kernel.default_emul()));
            }
            5 => assert_eq!(k.process().use_native_emul(), Err(EmulError::NotPermitted)),
            6 => {
                let name = ["a", "b"][self.random.below(2)];
                if let Some(lwp) = k.curlwp() {
                    lwp.set_name(name);
                    // This thread runs the LWP, and nobody else can.
                    assert_eq!(lwp.name().expect("it was given one").as_str(), name);
                }
                let guard = kernel.pin();
                let _ = guard.lwp(Lid(number)).and_then(|lwp| lwp.name());
            }
            7 => {
                k.process().alias().set(Pid(number), Lid(number));
                assert!(k.lid().is_none() || k.process().alias().lid() == Some(Lid(number)));
            }
            8 if self.hooks.len() < 2 => {
                let value = host.new_one();
                self.hooks.push(kernel.add_exit_hook(move |proc| {
                    let _captured: &Counted = &value;
                    assert!(proc.nlwps() == 0 && proc.pgid().is_some());
                }));
            }
            8 => {
                let hook = self.hooks.swap_remove(0);
                assert_eq!(kernel.remove_exit_hook(hook), Ok(()));
                assert_eq!(kernel.remove_exit_hook(hook), Err(HookError::NoSuchHook));
            }
            9 | 10 => drop(k.process().set_trace(on.then(|| Listener::sink(host, Some(k.pid()))))),
            11 => drop(kernel.set_trace(on.then(|| Listener::sink(host, None)))),
            12 => {
                let _ =
                    k.signals().kill(KillTarget::Pgrp(Pid(number)), Signo::CONT.number().into());
            }
            13 => drop(k.signals().kill(KillTarget::Lwp(Lid(number)), Signo::TERM.number().into())),
            14 => drop(k.signals().kill(KillTarget::All, 0)),
            15 => {
                let guard = kernel.pin();
                let _ = guard.lwp(Lid(number)).map(|lwp| lwp.unsleep());
            }
            // The superuser's again.
            16 => self.keep(kernel.spawn().start().ok()),
            _ => {
                if let Ok(old) = k.become_new_lwp(Pid::KERNEL) {
                    self.keep(old);
                }
            }
        }
    }

    /// Something that may block while others have the big lock or the CPUs, and not
    /// otherwise.
    pub fn block(&mut self, k: &mut Entered<'_>) {
        let depth = k.big_lock().depth();
        match self.random.below(4) {
            0 if depth < 3 => {
                assert_eq!(k.big_lock().lock(), Ok(()));
                assert_eq!(k.big_lock().depth(), depth + 1);
            }
            0 | 1 => {
                let held = depth > 0;
                assert_eq!(k.big_lock().unlock().is_ok(), held);
            }
            2 => {
                let (channel, mut looks) = (WaitChannel::new(), 0);
                let slept = k.sleep_on(&channel, || {
                    looks += 1;
                    (looks > 1).then_some(())
                });
                // The mark is set before the signal is taken, by whoever takes it.
                assert!(slept.is_ok() || k.lid().is_some());
                assert_eq!(k.big_lock().depth(), depth, "taken again as deep");
            }
            _ => {
                let slept = k.sleep_with(Arc::new(Deaf), || ());
                assert!(slept.is_ok() || k.lid().is_some());
                assert_eq!(k.big_lock().depth(), depth, "taken again as deep");
            }
        }
    }
}

/// It sleeps for no time.
struct Deaf;

impl SyncObject for Deaf {
    fn unsleep(&self, _: Lid) {}
}

/// A sink, of one process or of the kernel's.
struct Listener {
    of: Option<Pid>,
    over: AtomicBool,
    _own: Counted,
}

impl Listener {
    fn sink(host: &Counting, of: Option<Pid>) -> Arc<dyn TraceSink> {
        let over = AtomicBool::new(false);
        Arc::new(Self { of, over, _own: host.give(What::Sink) })
    }
}

impl TraceSink for Listener {
    fn event(&self, event: &TraceEvent) {
        let (TraceEvent::Fork { parent: pid, .. }
        | TraceEvent::LwpCreate { pid, .. }
        | TraceEvent::LwpExit { pid, .. }
        | TraceEvent::Exec { pid, .. }
        | TraceEvent::Exit { pid, .. }
        | TraceEvent::Zombie { pid, .. }
        | TraceEvent::Reap { pid, .. }) = *event
        else {
            panic!("{event:?}");
        };
        if let Some(of) = self.of {
            assert_eq!(of, pid, "the events of its own process only");
            let last = matches!(event, TraceEvent::Exit { .. });
            assert!(!self.over.fetch_or(last, SeqCst), "{event:?} after the end");
        }
    }
}
