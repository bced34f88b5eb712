//! The part of the model that is about specific data of processes and LWPs.

use super::{Driver, Embedder};
use lwproc::*;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex};

/// How many keys there are of each kind.
const KEYS: u8 = 3;

/// Values by the numbers of their keys.
pub type Data = BTreeMap<u8, u32>;

/// What a value is about: a process, or an LWP of it; and its key.
pub type Place = ((Pid, Option<Lid>), u8);

/// The values that have been destroyed, in order.
#[derive(Clone, Default)]
struct Destroyed(Arc<Mutex<Vec<Place>>>);

/// A value that says when it is destroyed.
pub struct Value {
    value: u32,
    place: Place,
    destroyed: Destroyed,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.destroyed.0.lock().unwrap().push(self.place);
    }
}

/// Keys, made in the order of their numbers.
pub struct Keys {
    pub proc: [ProcKey<Value>; KEYS as usize],
    lwp: [LwpKey<Value>; KEYS as usize],
    destroyed: Destroyed,
}

impl Keys {
    pub fn new(kernel: &Kernel<Embedder>) -> Self {
        let proc = std::array::from_fn(|_| kernel.proc_key());
        Self {
            proc,
            lwp: std::array::from_fn(|_| kernel.lwp_key()),
            destroyed: Destroyed::default(),
        }
    }
}

/// The data of a process.
pub fn of_proc(proc: &ProcRef<'_, Embedder>, keys: [ProcKey<Value>; KEYS as usize]) -> Data {
    let found = (0..KEYS).zip(keys).map(|(n, key)| Some((n, proc.specific(key)?.value)));
    found.flatten().collect()
}

/// A process, or an LWP, has gone: its values are destroyed, in the order of their keys.
pub fn destroy(of: (Pid, Option<Lid>), data: &mut Data, destroyed: &mut Vec<Place>) {
    destroyed.extend(take(data).into_keys().map(|key| (of, key)));
}

impl Driver<'_> {
    pub fn set_proc_data(&mut self, n: u8) {
        let (pid, key) = (self.model.curproc(), n % KEYS);
        let value = self.value((pid, None), n);
        let k = self.k.as_ref().unwrap();
        let old = k.data().set_proc(self.keys.proc[usize::from(key)], value).unwrap();
        let known = self.model.procs.get_mut(&pid).unwrap().data.insert(key, n.into());
        assert_eq!(old.map(|old| old.value), known);
        self.model.destroyed.extend(known.map(|_| ((pid, None), key)));
    }

    pub fn set_lwp_data(&mut self, n: u8) {
        let at = self.model.cur.map(|cur| (cur.pid, Some(cur.lid)));
        let (of, key) = (at.unwrap_or((Pid(1), None)), n % KEYS);
        let value = self.value(of, n);
        let k = self.k.as_mut().unwrap();
        let got = k.data_mut().set_lwp(self.keys.lwp[usize::from(key)], value);
        match self.model.lwp() {
            None => {
                assert_eq!(got.err(), Some(SpecificError::NoLwp));
                self.model.destroyed.push((of, key));
            }
            Some(lwp) => {
                let known = lwp.data.insert(key, n.into());
                assert_eq!(got.unwrap().map(|old| old.value), known);
                self.model.destroyed.extend(known.map(|_| (of, key)));
            }
        }
    }

    fn value(&self, of: (Pid, Option<Lid>), n: u8) -> Value {
        let destroyed = self.keys.destroyed.clone();
        Value { value: n.into(), place: (of, n % KEYS), destroyed }
    }

    pub fn check_data(&mut self) {
        let (model, k) = (&self.model, self.k.as_ref().unwrap());
        let own = &model.procs[&model.curproc()].data;
        let of_lwp = model.cur.map(|cur| &model.lwp_state[&(cur.pid, cur.lid)].data);
        for n in 0..KEYS {
            let (proc, lwp) = (self.keys.proc[usize::from(n)], self.keys.lwp[usize::from(n)]);
            assert_eq!(k.data().proc(proc).map(|v| v.value).as_ref(), own.get(&n));
            let known = of_lwp.and_then(|data| data.get(&n));
            assert_eq!(k.data().lwp(lwp).map(|v| v.value).as_ref(), known);
        }
        // Several LWPs that go together do so in any order; each has its own.
        let mut destroyed = take(&mut *self.keys.destroyed.0.lock().unwrap());
        let mut known = take(&mut self.model.destroyed);
        destroyed.sort_by_key(|(of, _)| *of);
        known.sort_by_key(|(of, _)| *of);
        assert_eq!(destroyed, known, "with what they are about, in the order of the keys");
    }
}
