//! Terminals that nobody acquired, changed or used.

use crate::bench::{Forced, assert_empty, child, leave, plain, start_as};
use lwproc::*;

pub fn terminal(forced: &mut Forced) {
    for rules in [Rules::NETBSD, Rules::LINUX.job_control(JobControl::Embedder)] {
        at(forced, rules);
    }
}

fn at(forced: &mut Forced, rules: Rules) {
    use TerminalError::*;

    let kernel = crate::bench::kernel(|builder| builder.rules(rules));
    let foreign = plain();
    let theirs = foreign.new_terminal();
    drop(foreign);
    let [tty, other] = [kernel.new_terminal(), kernel.new_terminal()];
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    forced.refused(&kernel, &mut k, NotLeader, |k| k.terminal(&tty).acquire());
    forced.refused(&kernel, &mut k, NotControlling, |k| k.terminal(&tty).foreground());
    let own = k.groups().setsid().unwrap();
    forced.refused(&kernel, &mut k, WrongKernel, |k| k.terminal(&theirs).acquire());
    forced.refused(&kernel, &mut k, WrongKernel, |k| k.terminal(&theirs).hang_up());
    k.terminal(&tty).acquire().unwrap();
    forced.refused(&kernel, &mut k, HasTerminal, |k| k.terminal(&other).acquire());
    forced.refused(&kernel, &mut k, BadNumber, |k| k.terminal(&tty).set_foreground(Pid(-1)));
    let is_linux = rules != Rules::NETBSD;
    let nobody = if is_linux { NoSuchGroup } else { OtherSession };
    forced.refused(&kernel, &mut k, nobody, |k| k.terminal(&tty).set_foreground(Pid(1 << 30)));
    forced.refused(&kernel, &mut k, OtherSession, |k| k.terminal(&tty).set_foreground(Pid(1)));
    if !is_linux {
        forced.refused(&kernel, &mut k, LeaderKeeps, |k| k.terminal(&tty).give_up());
    }
    let job = child(&mut k);
    let leader = k.switch(job).unwrap().unwrap();
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    // Signals that are nobody's are of no use.
    forced.refused(&kernel, &mut k, Background, |k| k.terminal(&tty).may_read());
    let stranger = child(&mut k);
    let job = k.switch(stranger).unwrap().unwrap();
    k.groups().setsid().unwrap();
    forced.refused(&kernel, &mut k, InUse, |k| k.terminal(&tty).acquire());
    forced.refused(&kernel, &mut k, InUse, |k| k.terminal(&tty).steal());
    assert_eq!(tty.foreground(), Some(own));
    drop((job, leader));
    leave(k);
    assert_empty(kernel);

    // Where they are kept, the group has one.
    let kernel = crate::bench::kernel(|b| b.rules(rules).signal_model(SigModel::Record));
    let tty = kernel.new_terminal();
    let mut k = kernel.enter().unwrap();
    start_as(&mut k, 5);
    k.groups().setsid().unwrap();
    k.terminal(&tty).acquire().unwrap();
    let job = child(&mut k);
    let leader = k.switch(job).unwrap().unwrap();
    k.groups().setpgid(Pid(0), Pid(0)).unwrap();
    forced.note(k.terminal(&tty).may_read(), &Signalled);
    drop(leader);
    leave(k);
    assert_empty(kernel);
}
