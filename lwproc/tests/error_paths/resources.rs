//! Credentials, limits and specific data that stay as they were.

use crate::bench::*;
use lwproc::*;

pub fn cred(forced: &mut Forced) {
    use CredChange::*;
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    let too_many: std::sync::Arc<[u32]> = (0..=GROUPS_MAX as u32).collect();
    let change = SetGroups(too_many.clone());
    forced.refused(&kernel, &mut k, CredError::TooManyGroups, |k| k.creds().set(&change));
    k.creds().set(&SetGroups([3, 4].into())).unwrap();
    k.creds().set(&SetResgid(Some(1), Some(2), Some(3))).unwrap();
    k.creds().set(&SetResuid(Some(5), Some(6), Some(7))).unwrap();
    let sibling = kernel.new_lwp(k.pid()).unwrap();
    let no = u32::MAX;
    for change in [
        SetUid(no),
        SetEuid(no),
        SetReuid(Some(no), None),
        SetResuid(None, None, Some(no)),
        SetGid(no),
        SetEgid(no),
        SetRegid(None, Some(no)),
        SetResgid(Some(1), Some(no), None),
    ] {
        forced.refused(&kernel, &mut k, CredError::InvalidId, |k| k.creds().set(&change));
    }
    // 8 is no id of the process's; 0 is what everybody would like.
    for id in [0, 8] {
        for change in [
            SetUid(id),
            SetUid(6),
            SetEuid(id),
            SetReuid(Some(id), None),
            SetReuid(None, Some(id)),
            SetReuid(Some(6), Some(id)),
            SetResuid(Some(id), None, None),
            SetResuid(None, Some(id), None),
            SetResuid(Some(6), Some(6), Some(id)),
            SetGid(id),
            SetEgid(id),
            SetRegid(Some(id), None),
            SetResgid(None, Some(1), Some(id)),
            SetGroups([].into()),
            SetGroups(too_many.clone()),
        ] {
            forced.refused(&kernel, &mut k, CredError::NotPermitted, |k| k.creds().set(&change));
        }
    }
    // What is in a set of its own is let go, too.
    assert_eq!(k.cred().changed(&SetUid(8)), Err(CredError::NotPermitted));
    assert_eq!((kernel.user_counts(5).procs, kernel.user_counts(5).lwps), (1, 1));
    drop((sibling, too_many));
    leave(k);
    assert_empty(kernel);
}

pub fn limit(forced: &mut Forced) {
    let kernel = plain();
    let mut k = kernel.enter().unwrap();
    k.rfork(Rfork::Fresh).unwrap();
    k.resources().set_limit(Resource::Nofile, Limit { soft: 10, hard: 20 }).unwrap();
    let child = child(&mut k);
    for user in [0, 5] {
        let limit = Limit { soft: 3, hard: 2 };
        for resource in Resource::ALL {
            let why = LimitError::SoftAboveHard;
            forced.refused(&kernel, &mut k, why, |k| k.resources().set_limit(*resource, limit));
            forced.refused(&kernel, &mut k, why, |k| k.resources().limits().with(*resource, limit));
        }
        k.creds().set(&CredChange::SetUid(user)).unwrap();
    }
    for limit in [Limit { soft: 10, hard: 21 }, Limit { soft: 0, hard: u64::MAX }] {
        forced.refused(&kernel, &mut k, LimitError::NotPermitted, |k| {
            k.resources().set_limit(Resource::Nofile, limit)
        });
    }
    drop(child);
    k.try_wait(WaitTarget::Any).unwrap().unwrap();
    leave(k);
    assert_empty(kernel);
}

pub fn specific(forced: &mut Forced) {
    let (kernel, other) = (plain(), plain());
    let host = kernel.host().clone();
    let own = (kernel.proc_key::<Value>(), kernel.lwp_key::<Value>());
    let foreign = (other.proc_key::<Value>(), other.lwp_key::<Value>());
    let mut k = kernel.enter().unwrap();
    forced.refused(&kernel, &mut k, SpecificError::NoLwp, |k| {
        k.data_mut().set_lwp(own.1, host.other())
    });
    start_as(&mut k, 5);
    k.data().set_proc(own.0, host.other()).unwrap();
    k.data_mut().set_lwp(own.1, host.other()).unwrap();
    let why = SpecificError::WrongKernel;
    forced.refused(&kernel, &mut k, why, |k| k.data().set_proc(foreign.0, host.other()));
    forced.refused(&kernel, &mut k, why, |k| k.data_mut().set_lwp(foreign.1, host.other()));
    assert!(k.data().take_proc(foreign.0).is_none() && k.data_mut().take_lwp(foreign.1).is_none());
    assert!(k.data().proc(own.0).is_some() && k.data().lwp(own.1).is_some());
    leave(k);
    drop(host);
    assert_empty(kernel);
}
