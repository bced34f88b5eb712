//! Signals: who got one had been sent it, and who died of one had got it.

mod common;

use common::{FORK, THREAD, agrees, count, lies_at, load, replayed};
use lwproc_replay::scene::Cause;

const ESRCH: &str = "-1 ESRCH (No such process)";
const EINVAL: &str = "-1 EINVAL (Invalid argument)";
const EPERM: &str = "-1 EPERM (Operation not permitted)";

/// 10 with a child 11, and an ending from line 3 on.
fn family(tail: &str) -> String {
    format!("10 {FORK} 11\n11 getpid() = 11\n{tail}")
}

/// The line that a task gets a signal by.
fn comes(task: i32, name: &str, from: i32) -> String {
    format!("{task} --- {name} {{si_signo={name}, si_code=SI_USER, si_pid={from}, si_uid=0}} ---\n")
}

fn killed(task: i32, name: &str) -> String {
    format!("{task} +++ killed by {name} +++\n")
}

fn exited(task: i32) -> String {
    format!("{task} exit_group(0) = ?\n{task} +++ exited with 0 +++\n")
}

#[test]
fn a_signal_comes_from_whom_it_was_sent_by() {
    let sent = family("10 kill(11, SIGTERM) = 0\n");
    let run = agrees(&format!("{sent}{}", comes(11, "SIGTERM", 10)));
    assert_eq!(run.first.signals.agreed, 1);
    lies_at(
        3,
        &family(&comes(11, "SIGTERM", 10)).replace("11 getpid() = 11", "10 kill(10, 0) = 0"),
    );
    // Another signal, another target, another sender, a second time.
    lies_at(4, &format!("{sent}{}", comes(11, "SIGINT", 10)));
    lies_at(4, &format!("{sent}{}", comes(10, "SIGTERM", 10)));
    lies_at(4, &format!("{sent}{}", comes(11, "SIGTERM", 11)));
    let once = format!("{sent}{}", comes(11, "SIGTERM", 10));
    lies_at(5, &format!("{once}{}", comes(11, "SIGTERM", 10)));
    // Sent twice, it may come once or twice.
    let twice = format!("{sent}10 kill(11, SIGTERM) = 0\n{}", comes(11, "SIGTERM", 10));
    agrees(&twice);
    let run = agrees(&format!("{twice}{}", comes(11, "SIGTERM", 10)));
    assert_eq!(count(&run, Cause::MergedSignal), 1);
    // Signals that the system makes are nobody's.
    let child = "10 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11} ---\n";
    assert_eq!(agrees(&family(child)).first.signals.checked(), 0);
    let run = agrees(&family(&comes(11, "SIGTERM", 99)));
    assert_eq!(count(&run, Cause::OuterProcess), 1);
}

#[test]
fn a_signal_that_overtakes_its_call() {
    let text = family(&format!(
        "10 kill(11, SIGINT <unfinished ...>\n{}10 <... kill resumed>) = 0\n",
        comes(11, "SIGINT", 10)
    ));
    assert_eq!(agrees(&text).first.reordered, 1);
    let other = text.replace("kill(11, SIGINT", "kill(11, SIGHUP");
    lies_at(4, &other);
    // The target may end, and be reaped, before the call returns.
    for end in [comes(11, "SIGINT", 10) + &killed(11, "SIGINT"), exited(11)] {
        agrees(&family(&format!(
            "10 {THREAD} 20\n10 kill(11, SIGINT <unfinished ...>\n{end}\
             20 wait4(11, NULL, 0, NULL) = 11\n10 <... kill resumed>) = 0\n"
        )));
    }
    // A refusal sends nothing.
    let refused = format!(
        "10 getuid() = 0\n10 {FORK} 11\n11 setuid(7) = 0\n11 kill(10, SIGTERM) = {EPERM}\n{}",
        comes(10, "SIGTERM", 11)
    );
    lies_at(5, &refused);
}

#[test]
fn threads_groups_and_all() {
    let threads = format!("10 {THREAD} 20\n20 gettid() = 20\n");
    let tgkill = format!("{threads}10 tgkill(10, 20, SIGUSR1) = 0\n");
    agrees(&format!("{tgkill}{}", comes(20, "SIGUSR1", 10)));
    let other = replayed(&load(&format!("{tgkill}{}", comes(10, "SIGUSR1", 10))));
    assert_eq!(count(&other, Cause::MergedSignal) + other.first.signals.disagreed, 1);
    // Any thread takes one that is for the process.
    for taker in [10, 20] {
        let text = format!("{threads}10 kill(10, SIGUSR1) = 0\n{}", comes(taker, "SIGUSR1", 10));
        assert_eq!(agrees(&text).first.signals.agreed, 1);
    }
    let family = format!("10 {FORK} 11\n10 {FORK} 12\n11 setpgid(0, 0) = 0\n12 getpid() = 12\n");
    let to_group = format!("{family}10 kill(-11, SIGTERM) = 0\n");
    agrees(&format!("{to_group}{}", comes(11, "SIGTERM", 10)));
    lies_at(6, &format!("{to_group}{}", comes(12, "SIGTERM", 10)));
    let own = format!("{family}10 kill(0, SIGTERM) = 0\n");
    agrees(&format!("{own}{}{}", comes(10, "SIGTERM", 10), comes(12, "SIGTERM", 10)));
    lies_at(6, &format!("{own}{}", comes(11, "SIGTERM", 10)));
    let all = format!("{family}10 kill(-1, SIGTERM) = 0\n");
    agrees(&format!("{all}{}{}", comes(11, "SIGTERM", 10), comes(12, "SIGTERM", 10)));
    lies_at(6, &format!("{all}{}", comes(10, "SIGTERM", 10)));
}

#[test]
fn targets_of_all() {
    agrees(&format!("10 kill(-1, 0) = {ESRCH}\n"));
    let run = agrees("10 kill(-1, 0) = 0\n");
    assert_eq!(count(&run, Cause::OuterProcess), 1);
    lies_at(3, &family(&format!("10 kill(-1, 0) = {ESRCH}\n")));
    assert_eq!(agrees(&family("10 kill(-1, 0) = 0\n")).first.total().agreed, 3);
}

#[test]
fn numbers_that_are_no_signal() {
    for call in ["kill(11, 99)", "kill(11, -1)", "tgkill(11, 11, 65)", "kill(0, 99)"] {
        agrees(&family(&format!("10 {call} = {EINVAL}\n")));
        lies_at(3, &family(&format!("10 {call} = 0\n")));
    }
    lies_at(3, &family(&format!("10 kill(11, SIGTERM) = {EINVAL}\n")));
    agrees(&family(&format!("10 kill(99, 99) = {ESRCH}\n")));
    agrees(&family(&format!("10 pidfd_open(99, 0) = {ESRCH}\n")));
    lies_at(3, &family(&format!("10 pidfd_open(11, 0) = {ESRCH}\n")));
}

#[test]
fn nothing_comes_after_sigkill() {
    let sent = family("10 kill(11, SIGKILL) = 0\n");
    agrees(&format!("{sent}{}", killed(11, "SIGKILL")));
    lies_at(4, &format!("{sent}11 getpid() = 11\n"));
    lies_at(4, &format!("{sent}11 nanosleep({{tv_sec=1}}, NULL) = 0\n"));
    lies_at(5, &format!("{sent}{}", exited(11)));
    lies_at(4, &format!("{sent}{}", killed(11, "SIGTERM")));
    // That it goes on, and how it ends, is said once.
    lies_at(4, &format!("{sent}11 getpid() = 11\n11 getpid() = 11\n{}", exited(11)));
    // A call that does not return is no life.
    agrees(&format!("{sent}11 nanosleep({{tv_sec=1}}, NULL) = ?\n{}", killed(11, "SIGKILL")));
    // One that was ending already ends so.
    let ending = family("11 exit_group(0 <unfinished ...>\n10 kill(11, SIGKILL) = 0\n");
    agrees(&format!("{ending}11 <... exit_group resumed>) = ?\n11 +++ exited with 0 +++\n"));
    // While the call lasts it may not have come yet.
    agrees(&family(&format!(
        "10 kill(11, SIGKILL <unfinished ...>\n11 getpid() = 11\n10 <... kill resumed>) = 0\n{}",
        killed(11, "SIGKILL")
    )));
    let refused = format!("10 getuid() = 0\n10 {FORK} 11\n11 setuid(7) = 0\n");
    agrees(&format!("{refused}11 kill(10, SIGKILL) = {EPERM}\n10 getpid() = 10\n"));
}

#[test]
fn sigkill_takes_all_threads_and_the_group() {
    let threads =
        format!("10 {FORK} 11\n11 {THREAD} 12\n12 gettid() = 12\n10 kill(11, SIGKILL) = 0\n");
    agrees(&format!("{threads}{}{}", killed(12, "SIGKILL"), killed(11, "SIGKILL")));
    lies_at(5, &format!("{threads}12 gettid() = 12\n"));
    let group = family("11 setpgid(0, 0) = 0\n10 kill(-11, SIGKILL) = 0\n");
    agrees(&format!("{group}{}10 getpid() = 10\n", killed(11, "SIGKILL")));
    lies_at(5, &format!("{group}11 getpid() = 11\n"));
}

#[test]
fn a_call_that_kills_its_caller() {
    for call in ["kill(10, SIGKILL) = ?", "kill(10, SIGKILL <unfinished ...>"] {
        let run = agrees(&format!("10 getpid() = 10\n10 {call}\n{}", killed(10, "SIGKILL")));
        assert_eq!((run.first.ends.agreed, run.first.ends.unexplained), (1, 0), "{call}");
        lies_at(3, &format!("10 getpid() = 10\n10 {call}\n10 +++ exited with 0 +++\n"));
    }
}

#[test]
fn a_death_by_a_signal_that_came() {
    let sent = family(&format!("10 kill(11, SIGTERM) = 0\n{}", comes(11, "SIGTERM", 10)));
    let run = agrees(&format!("{sent}{}", killed(11, "SIGTERM")));
    assert_eq!((run.first.ends.agreed, run.first.ends.unexplained), (1, 0));
    lies_at(5, &format!("{sent}{}", killed(11, "SIGINT")));
    // It was survived.
    lies_at(6, &format!("{sent}11 getpid() = 11\n{}", killed(11, "SIGTERM")));
    // A fault is the system's, and ends the other threads with it.
    let fault = "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---\n";
    let text = format!("10 {THREAD} 11\n11 gettid() = 11\n10 {fault}");
    let run = agrees(&format!("{text}{}{}", killed(11, "SIGSEGV"), killed(10, "SIGSEGV")));
    assert_eq!(run.first.ends.agreed, 2);
    // What nobody in the log sent.
    let run = agrees(&family(&killed(11, "SIGKILL")));
    assert_eq!((count(&run, Cause::OuterSignal), run.first.ends.unexplained), (1, 1));
    // A log without `---` lines says of no signal that it came.
    let run = agrees(&family(&killed(11, "SIGTERM")));
    assert_eq!(count(&run, Cause::OuterSignal), 1);
    let run = agrees(&family(&format!("10 kill(11, SIGTERM) = 0\n{}", killed(11, "SIGTERM"))));
    assert_eq!(run.first.ends.agreed, 1);
}

#[test]
fn signals_sent_otherwise() {
    let text = family(&format!(
        "10 pidfd_send_signal(0, SIGTERM, NULL, 0) = 0\n10 kill(10, 0) = 0\n{}",
        comes(11, "SIGTERM", 10)
    ));
    assert_eq!(count(&agrees(&text), Cause::OuterSignal), 1);
    // A log that has no kills at all.
    let text = family(&comes(11, "SIGTERM", 10));
    assert_eq!(count(&agrees(&text), Cause::OuterSignal), 1);
}

#[test]
fn stop_and_continue() {
    let text = family("10 kill(11, SIGSTOP) = 0\n10 kill(11, SIGCONT) = 0\n");
    agrees(&format!("{text}{}", comes(11, "SIGCONT", 10)));
    agrees(&format!(
        "{text}{}11 --- stopped by SIGSTOP ---\n{}",
        comes(11, "SIGSTOP", 10),
        comes(11, "SIGCONT", 10)
    ));
    lies_at(5, &format!("{text}{}", comes(11, "SIGTSTP", 10)));
}

#[test]
fn whom_init_may_not_have_reaped() {
    // 12 is an orphan when it ends: 10 cannot know whether it has been reaped.
    let text = format!(
        "10 {FORK} 11\n11 setpgid(0, 0) = 0\n11 {FORK} 12\n12 getpid() = 12\n{}\
         10 wait4(11, NULL, 0, NULL) = 11\n{}",
        exited(11),
        exited(12)
    );
    for call in ["kill(12, 0)", "kill(-11, SIGTERM)"] {
        let there = agrees(&format!("{text}10 {call} = 0\n"));
        assert_eq!(count(&there, Cause::OuterProcess), 1, "{call}");
        let gone = agrees(&format!("{text}10 {call} = {ESRCH}\n"));
        assert_eq!(count(&gone, Cause::OuterProcess), 0, "{call}");
    }
    lies_at(10, &format!("{text}10 kill(11, 0) = 0\n"));
}

#[test]
fn signals_of_the_system_in_the_name_of_a_process() {
    // A write to a pipe that nobody reads.
    let pipe = family("10 kill(10, 0) = 0\n11 write(1, \"a\", 1) = -1 EPIPE (Broken pipe)\n");
    let run = agrees(&format!("{pipe}{}{}", comes(11, "SIGPIPE", 11), killed(11, "SIGPIPE")));
    assert_eq!((run.first.signals.checked(), run.first.ends.agreed), (0, 1));
    lies_at(5, &format!("{pipe}{}", comes(11, "SIGPIPE", 10)));
    lies_at(5, &format!("{pipe}{}", comes(11, "SIGTERM", 11)));
    let sent = family("11 kill(11, SIGPIPE) = 0\n") + &comes(11, "SIGPIPE", 11);
    assert_eq!(agrees(&sent).first.signals.agreed, 1);
    // The end of a parent.
    let told = format!(
        "9 {FORK} 10\n9 kill(9, 0) = 0\n10 {FORK} 11\n11 prctl(PR_SET_PDEATHSIG, SIGTERM) = 0\n{}",
        exited(10)
    );
    let run = agrees(&format!("{told}{}", comes(11, "SIGTERM", 10)));
    assert_eq!(count(&run, Cause::OuterSignal), 1);
    lies_at(
        7,
        &(told.replace("DEATHSIG", "NAME").replace("PR_SET_PNAME", "PR_SET_NAME")
            + &comes(11, "SIGTERM", 10)),
    );
}

#[test]
fn signals_that_are_queued() {
    let queue = "{si_signo=SIGUSR1, si_code=SI_QUEUE, si_pid=10, si_uid=0}";
    let sent = family(&format!("10 rt_sigqueueinfo(11, SIGUSR1, {queue}) = 0\n"));
    agrees(&format!("{sent}11 --- SIGUSR1 {queue} ---\n{}", killed(11, "SIGUSR1")));
    agrees(&family(&format!("10 rt_sigqueueinfo(99, SIGUSR1, {queue}) = {ESRCH}\n")));
    lies_at(3, &family(&format!("10 rt_sigqueueinfo(11, SIGUSR1, {queue}) = {ESRCH}\n")));
}
