//! The calls around the rump kernel's own.

use super::callbacks::{self, Live};
use super::{Driver, counts};
use libc::{c_char, c_int, c_void};
use lwproc_capi::calls::biglock::*;
use lwproc_capi::calls::caps::*;
use lwproc_capi::calls::creds::*;
use lwproc_capi::calls::emul::*;
use lwproc_capi::calls::files::*;
use lwproc_capi::calls::handles::*;
use lwproc_capi::calls::hooks::*;
use lwproc_capi::calls::inside::{lwproc_proc_find, rump_lwproc_curlwp_hypercall};
use lwproc_capi::calls::instances::{lwproc_count_user, lwproc_kernel_current, lwproc_user_counts};
use lwproc_capi::calls::listing::*;
use lwproc_capi::calls::numbers::*;
use lwproc_capi::calls::process::*;
use lwproc_capi::calls::resources::*;
use lwproc_capi::calls::signals::*;
use lwproc_capi::calls::sleep::*;
use lwproc_capi::calls::specific::*;
use lwproc_capi::calls::trace::*;
use std::ptr::{null, null_mut};

impl Driver<'_> {
    pub fn service(&mut self, op: u8) -> c_int {
        match op {
            120..=155 => self.files(op),
            156..=189 => self.process(op),
            190..=209 => self.sleeping(op),
            210..=229 => self.resources(op),
            _ => self.embedded(op),
        }
    }

    fn flags(&mut self) -> c_int {
        self.bytes.one_of(&[0, 0, 0, LWPROC_CLOEXEC, 2])
    }

    fn files(&mut self, op: u8) -> c_int {
        let mut fd = -7;
        match op {
            120..=129 => {
                let live = &self.has.files;
                let flags = self.flags();
                let place = self.place(&mut fd);
                live.add(1);
                let opened =
                    unsafe { lwproc_open(live.as_arg(), Some(callbacks::goes), flags, place) };
                if opened != 0 {
                    live.add(-1);
                }
                opened
            }
            130..=134 => {
                let mut file = null_mut();
                let got = unsafe { lwproc_get(self.bytes.number(), self.place(&mut file)) };
                if got == 0 {
                    assert_eq!(unsafe { lwproc_file_data(file) }, self.has.files.as_arg());
                    self.files.push(file);
                }
                got
            }
            135 | 136 => {
                if let Some(which) = usize::from(self.bytes.byte()).checked_rem(self.files.len()) {
                    unsafe { lwproc_file_put(self.files.swap_remove(which)) };
                }
                unsafe { lwproc_file_put(null_mut()) };
                0
            }
            137..=139 => {
                let which = usize::from(self.bytes.byte()).checked_rem(self.files.len());
                let file = which.map_or(null(), |which| self.files[which].cast_const());
                unsafe { lwproc_install(file, self.flags(), self.place(&mut fd)) }
            }
            140..=143 => lwproc_close(self.bytes.number()),
            144 | 145 => unsafe { lwproc_dup(self.bytes.number(), self.place(&mut fd)) },
            146 | 147 => {
                let (old, min, flags) = (self.bytes.number(), self.bytes.number(), self.flags());
                unsafe { lwproc_dup_from(old, min, flags, self.place(&mut fd)) }
            }
            148 | 149 => lwproc_dup2(self.bytes.number(), self.bytes.number()),
            150 => lwproc_dup3(self.bytes.number(), self.bytes.number(), self.flags()),
            151 => unsafe { lwproc_getcloexec(self.bytes.number(), self.place(&mut fd)) },
            152 | 153 => lwproc_setcloexec(self.bytes.number(), self.flags()),
            _ => lwproc_close_range(self.bytes.number(), self.bytes.number(), self.flags()),
        }
    }

    fn process(&mut self, op: u8) -> c_int {
        let mut number = -7;
        match op {
            156..=159 => lwproc_setpgid(self.pid(), self.pid()),
            160 => unsafe { lwproc_getpgid(self.pid(), self.place(&mut number)) },
            161 => unsafe { lwproc_setsid(self.place(&mut number)) },
            162 => self.handles(),
            163 => unsafe { lwproc_getsid(self.pid(), self.place(&mut number)) },
            164..=168 => {
                // It must not block.
                let looks = LWPROC_WNOHANG | LWPROC_WNOWAIT;
                let options = self.bytes.one_of(&[LWPROC_WNOHANG, 29, looks, 225, 1 << 30]);
                let target = self.bytes.one_of(&[-1, 0, -2, 2, 3, c_int::MIN]);
                let place = self.place(&mut number);
                if op == 168 {
                    let options = options & !LWPROC_WNOHANG;
                    unsafe { lwproc_wait_until(target, options, place, &mut 0, &self.past()) }
                } else {
                    unsafe { lwproc_wait(target, options, place, &mut 0) }
                }
            }
            169..=171 => lwproc_exit(self.bytes.number()),
            172 => lwproc_exit_signal(self.bytes.number(), (self.bytes.byte() % 2).into()),
            173..=175 => lwproc_exit_group(self.bytes.number()),
            176 | 177 => lwproc_drain(),
            178..=180 => lwproc_reopen(),
            181 => unsafe { lwproc_must_exit(self.place(&mut number)) },
            // With another LWP it could block.
            182 if lwproc_kernel_current().is_null() || counts().lwps > 2 => unsafe {
                lwproc_wait_alone_until(&self.past())
            },
            182 => lwproc_wait_alone(),
            183..=185 => unsafe {
                lwproc_execnotify(self.bytes.one_of(&[
                    c"sh".as_ptr(),
                    c"\xff\xfe".as_ptr(),
                    null(),
                ]))
            },
            186 => unsafe {
                lwproc_setcomm(self.bytes.one_of(&[c"a name that is cut".as_ptr(), c"".as_ptr()]))
            },
            187 => {
                let mut name: [c_char; 20] = [1; 20];
                let size = usize::from(self.bytes.byte() % 21);
                let got = unsafe { lwproc_getcomm(self.place(&mut name).cast(), size) };
                assert!(got != 0 || name[..size].contains(&0));
                got
            }
            188 => self.credentials(),
            _ => {
                if !lwproc_kernel_current().is_null() {
                    self.list();
                    rump_lwproc_curlwp_hypercall();
                    let found = lwproc_proc_find(self.pid());
                    self.procs.extend((!found.is_null()).then_some(found));
                    lwproc_getppid();
                    lwproc_getpid();
                    lwproc_getlid();
                    lwproc_getuid();
                    lwproc_getegid();
                }
                0
            }
        }
    }

    /// A time that has passed, or none at all.
    pub fn past(&mut self) -> libc::timespec {
        let tv_nsec = self.bytes.mostly(&[0, 1, 999_999_999], -1);
        libc::timespec { tv_sec: self.bytes.mostly(&[0, 0, 1], -1), tv_nsec }
    }

    /// Everything is listed that is counted, while nobody else runs.
    fn list(&mut self) {
        let (mut pids, mut lids, mut count) = ([-1; 64], [-1; 64], 0);
        let room = usize::from(self.bytes.byte() % 65);
        let listed = unsafe { lwproc_list_procs(pids.as_mut_ptr(), room, &mut count) };
        let counts = counts();
        assert_eq!((listed, count), (0, counts.procs + counts.zombies));
        let listed = &pids[..room.min(count)];
        assert_eq!(pids.iter().filter(|pid| **pid >= 0).count(), listed.len());
        for pid in listed {
            let p = lwproc_proc_find(*pid);
            let (mut lwps, mut count) = (0, 0);
            assert_eq!(unsafe { lwproc_count_lwps(p, &mut lwps) }, 0);
            assert_eq!(unsafe { lwproc_list_lwps(p, lids.as_mut_ptr(), 64, &mut count) }, 0);
            assert_eq!(lwps, count);
        }
    }

    /// Handles outlive their process and their kernel.
    fn handles(&mut self) -> c_int {
        let which = usize::from(self.bytes.byte()).checked_rem(self.handles.len());
        let handle = which.map_or(null_mut(), |which| self.handles[which]);
        let (mut number, mut status) = (-7, -7);
        match self.bytes.byte() % 12 {
            0..=3 => {
                let mut new = null_mut();
                let pid = self.pid();
                let opened = unsafe { lwproc_handle_open(pid, self.place(&mut new)) };
                if opened == 0 {
                    assert_eq!(unsafe { lwproc_handle_pid(new) }, pid);
                    self.handles.push(new);
                }
                opened
            }
            4 => {
                if let Some(which) = which {
                    self.handles.swap_remove(which);
                }
                unsafe { lwproc_handle_close(handle) };
                0
            }
            5 | 6 => unsafe { lwproc_handle_signal(handle, self.bytes.number()) },
            7 | 8 => {
                let place = self.place(&mut number);
                let got = unsafe { lwproc_handle_status(handle, place, &mut status) };
                assert!(got != 0 || (number == 1) == (status != -7));
                got
            }
            9 => unsafe { lwproc_handle_exited(handle, self.place(&mut status), &self.past()) },
            _ => {
                let options = self.bytes.one_of(&[LWPROC_WNOHANG, 0, 2, LWPROC_WALL]);
                let place = self.place(&mut number);
                unsafe { lwproc_handle_wait(handle, options, place, &mut status, &self.past()) }
            }
        }
    }

    fn credentials(&mut self) -> c_int {
        let ids = [0, 1, 2, u32::MAX];
        let [a, b, c] = std::array::from_fn(|_| self.bytes.one_of(&ids));
        let mut groups = [a, b, c];
        let mut room = usize::from(self.bytes.byte() % 4);
        let [r, e, s] = &mut [0; 3];
        match self.bytes.byte() % 12 {
            0 => lwproc_setuid(a),
            1 => lwproc_seteuid(a),
            2 => lwproc_setreuid(a, b),
            3 => lwproc_setresuid(a, b, c),
            4 => lwproc_setgid(a),
            5 => lwproc_setegid(a),
            6 => lwproc_setregid(a, b),
            7 => lwproc_setresgid(a, b, c),
            8 => unsafe { lwproc_setgroups(room, self.place(&mut groups).cast()) },
            9 => unsafe { lwproc_getresuid(self.place(r), self.place(e), self.place(s)) },
            10 => unsafe { lwproc_getresgid(self.place(r), self.place(e), self.place(s)) },
            _ => unsafe { lwproc_getgroups(&mut room, self.place(&mut groups).cast()) },
        }
    }

    fn sleeping(&mut self, op: u8) -> c_int {
        let mut number = -7;
        match op {
            190..=193 => lwproc_kill(self.pid(), self.bytes.number()),
            194 => lwproc_lwp_kill(self.bytes.number(), self.bytes.number()),
            195 if self.bytes.byte() < 128 => lwproc_psignal(self.proc(), self.bytes.number()),
            195 => lwproc_tgkill(self.pid(), self.bytes.number(), self.bytes.number()),
            196 => unsafe { lwproc_sigpending(self.place(&mut 0)) },
            197 => unsafe { lwproc_sigmask(self.bytes.word(), self.place(&mut 0)) },
            198 | 199 => unsafe { lwproc_sigtake(self.place(&mut number)) },
            200..=202 => {
                let mut looks = self.bytes.byte() % 2 + 1;
                let channel = self.bytes.one_of(&[self.channel, self.channel, null_mut()]);
                let condition: lwproc_condition =
                    if self.bytes.byte() == 0 { None } else { Some(callbacks::condition) };
                let arg = (&raw mut looks).cast();
                if op == 202 {
                    unsafe { lwproc_sleep_until(channel, condition, arg, &self.past()) }
                } else {
                    unsafe { lwproc_sleep(channel, condition, arg) }
                }
            }
            203 => unsafe { lwproc_wakeup(self.bytes.one_of(&[self.channel, null_mut()])) },
            204 => unsafe { lwproc_wakeup_one(self.bytes.one_of(&[self.channel, null_mut()])) },
            205 | 206 => {
                let live = &self.has.sync_objects;
                let sleep: lwproc_sleeper =
                    if self.bytes.byte() == 0 { None } else { Some(callbacks::sleep) };
                live.add(1);
                let slept = unsafe {
                    lwproc_sleep_with(
                        sleep,
                        Some(callbacks::unsleep),
                        Some(callbacks::goes),
                        live.as_arg(),
                    )
                };
                if slept != 0 && slept != libc::EINTR {
                    live.add(-1);
                }
                slept
            }
            207 if self.bytes.byte() < 128 => unsafe { lwproc_biglock_until(&self.past()) },
            207 => lwproc_biglock(),
            208 => lwproc_bigunlock(),
            _ => unsafe { lwproc_biglock_depth(self.place(&mut 0)) },
        }
    }

    fn resources(&mut self, op: u8) -> c_int {
        let mut limit = lwproc_rlimit { rlim_cur: 0, rlim_max: 0 };
        match op {
            210..=214 => {
                limit.rlim_cur = self.bytes.one_of(&[0, 1, 3, 20, u64::MAX]);
                limit.rlim_max = self.bytes.one_of(&[u64::MAX, 20, 3, 0]);
                let resource = self.bytes.one_of(&[8, 7, 11, 0, 17, 18, -1]);
                unsafe { lwproc_setrlimit(resource, self.place(&mut limit)) }
            }
            215 => unsafe { lwproc_getrlimit(self.bytes.number(), self.place(&mut limit)) },
            217 => {
                let (mut flags, which) = (0, self.bytes.byte() % 9);
                let mut counts = lwproc_user_counts { procs: 0, lwps: 0 };
                let (mut last, mosts) = (0, [u64::MAX, 0, 3, 5, 8]);
                // 2 and 4: LWPROC_NPROC, LWPROC_NTHR.
                match which {
                    0 => lwproc_limits_setpolicy(self.bytes.one_of(&[0, 2, 4, 6, 1])),
                    1 => unsafe { lwproc_limits_policy(self.place(&mut flags)) },
                    2 => lwproc_set_max_procs(self.bytes.one_of(&mosts)),
                    3 => lwproc_set_max_lwps(self.bytes.one_of(&mosts)),
                    4 => lwproc_set_max_lwps_per_proc(self.bytes.one_of(&mosts)),
                    5 => lwproc_set_id_capacity(self.bytes.one_of(&[0, 1, 5, 301, usize::MAX])),
                    6 => lwproc_set_last_number(self.bytes.number()),
                    7 => unsafe { lwproc_last_number(self.place(&mut last)) },
                    _ => unsafe { lwproc_count_user(flags, self.place(&mut counts)) },
                }
            }
            216 | 218 => {
                let mut used: [u64; 12] = std::array::from_fn(|_| self.bytes.byte().into());
                if op == 218 {
                    used = [u64::MAX; 12];
                }
                unsafe { lwproc_addrusage(self.place(&mut used).cast()) }
            }
            219 | 220 => {
                let mut used = [0u64; 12];
                unsafe { lwproc_getrusage(self.bytes.number(), self.place(&mut used).cast()) }
            }
            221 => {
                let mut vfs = null_mut();
                unsafe { lwproc_vfs(self.place(&mut vfs)) }
            }
            222 => {
                let (mut vm, vmspaces) = (null_mut(), self.has.vmspaces.as_arg());
                let got = unsafe { lwproc_vmspace(self.place(&mut vm)) };
                assert!(vm.is_null() || vm == vmspaces.cast());
                got
            }
            223..=225 => {
                let live = &self.has.emuls;
                let mut number = 0;
                live.add(1);
                let place = self.place(&mut number);
                let added = unsafe { lwproc_emul_add(live.as_arg(), Some(callbacks::goes), place) };
                if added != 0 {
                    live.add(-1);
                }
                added
            }
            226 | 227 => lwproc_emul_setdefault(self.bytes.number() as u32),
            228 => unsafe { lwproc_emul_default(self.place(&mut 0)) },
            _ => {
                let mut data = null_mut();
                unsafe { lwproc_emul(self.place(&mut 0), self.place(&mut data)) }
            }
        }
    }

    /// Data, hooks, sinks: what goes with a process or a kernel.
    fn embedded(&mut self, op: u8) -> c_int {
        match op {
            230 | 231 => {
                let mut key = 0;
                let place = self.place(&mut key);
                let create = [lwproc_proc_key_create, lwproc_lwp_key_create];
                let made = unsafe { create[usize::from(op % 2)](Some(callbacks::goes), place) };
                self.keys.extend((made == 0).then_some(key));
                made
            }
            232..=239 => self.set_specific(),
            240 => {
                let mut value = null_mut();
                unsafe { lwproc_getspecific(self.bytes.number() as u32, self.place(&mut value)) }
            }
            241 | 242 => {
                let mut id = 0;
                let hook: lwproc_exithook =
                    if self.bytes.byte() == 0 { None } else { Some(callbacks::ending) };
                let made =
                    unsafe { lwproc_exithook_establish(hook, null_mut(), self.place(&mut id)) };
                self.hooks.extend((made == 0).then_some(id));
                made
            }
            243 | 244 => {
                let which = usize::from(self.bytes.byte()).checked_rem(self.hooks.len());
                let id = which.map_or(self.bytes.word(), |which| self.hooks[which]);
                lwproc_exithook_disestablish(id)
            }
            245..=250 => self.set_sink(op),
            251 => unsafe { lwproc_lwp_setname(c"a name".as_ptr()) },
            252 => {
                let mut name: [c_char; 20] = [1; 20];
                unsafe { lwproc_lwp_getname(self.place(&mut name).cast(), 20) }
            }
            253 | 254 => {
                let size = self.bytes.byte().into();
                let mut profile = lwproc_profile { base: 1, size, offset: 3, scale: 4 };
                unsafe { lwproc_setprofile(self.place(&mut profile)) }
            }
            _ => {
                let mut profile = lwproc_profile { base: 1, size: 2, offset: 3, scale: 4 };
                unsafe { lwproc_getprofile(self.place(&mut profile)) }
            }
        }
    }

    fn set_specific(&mut self) -> c_int {
        let live = &self.has.values;
        let which = usize::from(self.bytes.byte()).checked_rem(self.keys.len());
        let key = which.map_or(self.bytes.number() as u32, |which| self.keys[which]);
        let value: *mut c_void = self.bytes.one_of(&[live.as_arg(), live.as_arg(), null_mut()]);
        let mut before = null_mut();
        let got = unsafe { lwproc_getspecific(key, &mut before) };
        live.add((!value.is_null()).into());
        let set = lwproc_setspecific(key, value);
        if set == 0 {
            // What was there is the caller's again.
            assert_eq!(got, 0);
            live.add(-i64::from(!before.is_null()));
        } else {
            live.add(-i64::from(!value.is_null()));
        }
        set
    }

    fn set_sink(&mut self, op: u8) -> c_int {
        let live: &Live = &self.has.sinks;
        let sink: lwproc_trace_sink =
            if self.bytes.byte() < 80 { None } else { Some(callbacks::traced) };
        let set = if op < 248 { lwproc_settrace } else { lwproc_kernel_settrace };
        live.add(sink.is_some().into());
        let done = unsafe { set(sink, live.as_arg(), Some(callbacks::goes)) };
        if done != 0 {
            live.add(-i64::from(sink.is_some()));
        }
        done
    }
}
