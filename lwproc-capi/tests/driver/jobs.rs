//! Queued signals, dispositions, terminals, children made in two steps.

use super::callbacks::{self, Live};
use super::{Driver, is_scheduled};
use libc::{c_int, c_void, pid_t};
use lwproc_capi::calls::births::*;
use lwproc_capi::calls::families::*;
use lwproc_capi::calls::files::lwproc_unshare_files;
use lwproc_capi::calls::inside::lwproc_proc_find;
use lwproc_capi::calls::listing::lwproc_state;
use lwproc_capi::calls::signals::*;
use lwproc_capi::calls::terminals::*;
use lwproc_capi::vmspace;
use std::ptr::{from_mut, null, null_mut};

/// Says no to each third number, and gives each second child an address space.
unsafe extern "C" fn prepare(live: *mut c_void, pid: pid_t, vm: *mut *mut vmspace) -> c_int {
    callbacks::may_not_call();
    assert!(pid > 1 && lwproc_proc_find(pid).is_null(), "nobody finds it yet");
    if pid % 3 == 0 {
        return libc::EACCES;
    }
    if pid % 2 == 0 {
        unsafe { &*live.cast::<Live>() }.add(1);
        unsafe { *vm = live.cast() };
    }
    0
}

impl Driver<'_> {
    pub fn jobs(&mut self) -> c_int {
        match self.bytes.byte() % 16 {
            0..=3 => self.fork(),
            4 => lwproc_unshare_files(),
            5 => self.family(),
            11 => unsafe { lwproc_state(self.proc(), self.place(&mut 0)) },
            6 => self.vfork(),
            7..=10 => self.queue(),
            _ => self.terminals(),
        }
    }

    fn fork(&mut self) -> c_int {
        let (mut l, mut pid) = (null_mut(), 0);
        let prepare: lwproc_fork_prepare =
            if self.bytes.byte() < 60 { None } else { Some(prepare) };
        let how = lwproc_fork_args {
            flags: self.bytes.one_of(&[0, 1, 2, 3, 4, 8, 12, 16]),
            exit_signal: self.bytes.one_of(&[0, 1, 17, 20, 65]),
            prepare,
            arg: self.has.vmspaces.as_arg(),
        };
        let made = unsafe { lwproc_fork(&how, self.place(&mut l), self.place(&mut pid)) };
        assert_eq!(made == 0, !l.is_null());
        self.lwps.extend((made == 0).then_some(l));
        made
    }

    fn family(&mut self) -> c_int {
        let said = &mut 0;
        match self.bytes.byte() % 6 {
            0 => lwproc_setsubreaper((self.bytes.byte() % 2).into()),
            1 => unsafe { lwproc_getsubreaper(self.place(said)) },
            2 => lwproc_setdeathsig(self.bytes.one_of(&[0, 1, 40, 65])),
            3 => unsafe { lwproc_getdeathsig(self.place(said)) },
            4 => lwproc_setchildflags(self.bytes.one_of(&[0, 1, 2, 3, 4])),
            _ => unsafe { lwproc_getchildflags(self.place(said)) },
        }
    }

    fn vfork(&mut self) -> c_int {
        let which = usize::from(self.bytes.byte()).checked_rem(self.handles.len());
        let handle = which.map_or(null_mut(), |which| self.handles[which]);
        let mut end = LWPROC_VFORK_RUNS;
        let got = unsafe { lwproc_vfork_end(handle, &mut end) };
        if end == LWPROC_VFORK_RUNS {
            return got;
        }
        // It would block.
        unsafe { lwproc_vfork_wait(handle, self.place(&mut end)) }
    }

    fn queue(&mut self) -> c_int {
        let (signo, value) =
            (self.bytes.one_of(&[1, 20, 40, 63, 64, 65, 0]), from_mut(self).cast());
        let mut info = lwproc_siginfo { signo: 0, queued: 0, value: null_mut() };
        let old = &mut 0;
        let answer = match self.bytes.byte() % 12 {
            0 | 1 => lwproc_sigqueue(self.pid(), signo, value),
            2 => lwproc_lwp_sigqueue(self.bytes.number(), signo, value),
            3 => lwproc_tgsigqueue(self.pid(), self.bytes.number(), signo, value),
            4 => lwproc_kill_session(self.pid(), signo),
            5 => lwproc_kill_tree(self.pid(), signo),
            6 => lwproc_kill_user(self.bytes.one_of(&[0, 1]), signo),
            7 => unsafe { lwproc_sigtake_info(self.place(&mut info)) },
            8 => unsafe { lwproc_sigtake_of(self.bytes.word(), self.place(&mut info)) },
            9 => unsafe { lwproc_sigwait(self.bytes.word(), &mut info, &self.past()) },
            10 => lwproc_sigdiscard(self.bytes.word()),
            _ => unsafe {
                match lwproc_getdisposition(signo, self.place(old)) {
                    0 => lwproc_setdisposition(signo, self.bytes.number(), self.place(old)),
                    other => other,
                }
            },
        };
        assert!(info.queued == 0 || info.value == value);
        answer
    }

    fn terminals(&mut self) -> c_int {
        let which = usize::from(self.bytes.byte()).checked_rem(self.terminals.len());
        let t = which.map_or(null(), |which| self.terminals[which].cast_const());
        let number = &mut 0;
        match self.bytes.byte() % 16 {
            0 => {
                let mut new = null_mut();
                let made = unsafe { lwproc_terminal_create(self.place(&mut new)) };
                self.terminals.extend((made == 0).then_some(new));
                made
            }
            1 => {
                let gone = which.map_or(null_mut(), |which| self.terminals.swap_remove(which));
                unsafe { lwproc_terminal_destroy(gone) };
                0
            }
            2..=4 => unsafe { lwproc_terminal_acquire(t) },
            5 => unsafe { lwproc_terminal_steal(t) },
            6 => unsafe { lwproc_terminal_give_up(t) },
            7 => unsafe { lwproc_terminal_controls(t, self.place(number)) },
            8 => unsafe { lwproc_terminal_foreground(t, self.place(number)) },
            9 => unsafe { lwproc_terminal_session(t, self.place(number)) },
            10 => unsafe { lwproc_terminal_look(t, self.place(number), null_mut()) },
            11 => unsafe { lwproc_terminal_setforeground(t, self.pid()) },
            12 => unsafe { lwproc_terminal_may_read(t) },
            13 => unsafe { lwproc_terminal_may_write(t, (self.bytes.byte() % 2).into()) },
            14 => unsafe { lwproc_terminal_hang_up(t) },
            _ if is_scheduled() => unsafe { lwproc_terminal_may_change(t) },
            _ => unsafe { lwproc_terminal_signal(t, self.bytes.number()) },
        }
    }
}
