//! Many clients at once, that fork, exec, kill, go and send garbage.
//!
//! cargo run --release -p lwproc-sysproxy --example storm -- URL [SECONDS [CLIENTS]]

use lwproc_sysproxy::client::{Client, Error, Space, Ticket};
use lwproc_sysproxy::frame::{Class, Header, Kind};
use lwproc_sysproxy::{Url, number};
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

/// Numbers that look random: `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

/// One thread's clients.
struct Crowd<'u> {
    url: &'u Url,
    random: Random,
    clients: Vec<Client>,
    tickets: Vec<Ticket>,
}

/// Who waits for so long is stuck.
const LIMIT: Duration = Duration::from_secs(20);

/// In the first page of a client's memory.
const SOMEWHERE: i64 = 0x1_0000;

impl Crowd<'_> {
    /// One step of one client. One that an error ends is gone.
    fn step(&mut self, most: usize) -> Result<(), Error> {
        if self.clients.len() < most {
            let client = match self.tickets.pop() {
                Some(ticket) => Client::join(self.url, &ticket, Space::default()),
                None => Client::connect(self.url, "storm"),
            }?;
            client.set_time_limit(Some(LIMIT))?;
            self.clients.push(client);
            return Ok(());
        }
        let at = self.random.below(self.clients.len() as u64) as usize;
        let mut client = self.clients.swap_remove(at);
        match self.random.below(100) {
            0..10 => self.tickets.extend(client.prefork().ok()),
            10..14 => {
                let reader = client.call(number::PIPE, &[])?[0];
                let read = client.begin(number::READ, &[reader, SOMEWHERE, 1])?;
                client.exec("stormier")?;
                assert!(client.finish(read).is_err());
            }
            // It goes.
            14..20 => return Ok(()),
            20..24 => {
                // It goes while it asks, with a call that sleeps.
                let reader = client.call(number::PIPE, &[])?[0];
                client.begin(number::READ, &[reader, SOMEWHERE, 1])?;
                client.begin(number::WRITE, &[1, SOMEWHERE, 9])?;
                return Ok(());
            }
            24..30 => {
                let near = client.call(number::GETPID, &[])?[0] - 500;
                let victim = (near + self.random.below(1000) as i64).max(2);
                let signo = [9, 15, 30, 20][self.random.below(4) as usize];
                let _ = client.call(number::KILL, &[victim, signo]);
            }
            30..38 => {
                client.send_raw(&self.random.bytes(400))?;
                return Ok(());
            }
            38..46 => {
                // A frame that is whole, and otherwise as it comes. It reboots nothing.
                let payload = self.random.bytes(64);
                let value = self.random.below(number::REBOOT.into()) as u32;
                let mut header =
                    Header::new(Class::Request, Kind::Syscall, 1 << 40, value, payload.len());
                header.class = self.random.below(4) as u16;
                header.kind = self.random.below(10) as u16;
                client.send_raw(&[&header.to_bytes()[..], &payload].concat())?;
            }
            46..52 => drop(client.call(number::WAIT4, &[-1, 0, 1, 0])),
            52..56 => {
                client.call(number::EXIT, &[self.random.below(256) as i64])?;
                return Ok(());
            }
            56..60 => drop(client.call(number::SETSID, &[])),
            _ => drop(client.call(number::GETPID, &[])?),
        }
        self.clients.push(client);
        Ok(())
    }
}

/// Runs `clients` for that time on `threads` threads: how many steps they made.
///
/// # Panics
/// A client waits in vain.
pub fn storm(url: &Url, threads: u64, clients: usize, time: Duration) -> u64 {
    let run = |seed| {
        let (clients_now, tickets) = Default::default();
        let mut crowd = Crowd { url, random: Random(seed), clients: clients_now, tickets };
        let (begin, mut steps, mut most) = (Instant::now(), 0, 0);
        while begin.elapsed() < time {
            steps += 1;
            if let Err(Error::Io(error)) = crowd.step(clients / threads as usize) {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time");
            }
            most = most.max(crowd.clients.len());
        }
        assert_eq!(most, clients / threads as usize, "all were there at once");
        steps
    };
    thread::scope(|s| {
        let crowds: Vec<_> = (0..threads).map(|seed| s.spawn(move || run(seed))).collect();
        crowds.into_iter().map(|crowd| crowd.join().expect("no panic")).sum()
    })
}

#[allow(dead_code, reason = "a test has the storm without it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("storm URL [SECONDS [CLIENTS]]")?.parse()?;
    let seconds = args.next().map_or(Ok(10), |arg| arg.parse())?;
    let clients = args.next().map_or(Ok(1000), |arg| arg.parse())?;
    let steps = storm(&url, 4, clients, Duration::from_secs(seconds));
    println!("{steps} steps of {clients} clients in {seconds} s");
    Ok(())
}
