//! The credentials of a context.
#![allow(unsafe_code)]

use super::Entered;
use super::view::view_mut;
use crate::cred::{Cred, CredCell, CredChange, CredRef};
use crate::error::CredError;
use crate::host::Host;
use crate::ops::creds;
use crate::policy::Difference;
use crate::world::Implicit;
use crate::world::config::Part;

impl<'k, H: Host> Entered<'k, H> {
    /// Refreshes the snapshot that this context runs on, if the process's
    /// credentials have changed. Called when nothing borrows it: at entry, by
    /// `&mut self` operations.
    #[inline]
    pub(super) fn refresh_creds(&self) {
        if !self.cx.has_current_creds(&self.seat.world().init) {
            self.replace_creds();
        }
    }

    #[cold]
    fn replace_creds(&self) {
        let me = self.seat.me();
        if self.node().is_some() {
            // SAFETY: bound to this thread; not borrowed, see `refresh_creds`.
            unsafe { creds::update_creds(self.bound(), &me.pin()) };
        } else if self.seat.world().implicit == Implicit::Allowed {
            // SAFETY: not borrowed, see `refresh_creds`.
            unsafe { self.cx.replace_init_cred(&self.proc().resources.cred, &me.pin()) };
        }
    }

    /// The credentials that this context runs on: a snapshot, the same until
    /// the context is left, switches, or changes them itself. Wait-free; no
    /// lock, no shared write.
    pub fn cred(&self) -> &Cred {
        match self.node() {
            // SAFETY: bound to this thread; replaced by `&mut self` only.
            Some(node) => unsafe { node.cred.get_unshared() },
            // SAFETY: this thread's; replaced at entry and by `&mut self` only.
            None => unsafe { self.cx.init_cred() }.map(CredRef::get),
        }
        .expect("every context has credentials")
    }

    /// Those of the current LWP, where they are its own.
    #[inline]
    pub(super) fn own_cred(&self) -> Option<&CredCell> {
        let are_own = creds::are_own(self.seat.world().rules);
        self.node().filter(|_| are_own).map(|node| &node.cred)
    }

    /// The credentials of the current process, or of the current LWP, to be changed. Nothing borrows
    /// those that this context runs on: [`Entered::cred`] has given none out.
    #[inline]
    pub fn creds(&mut self) -> Creds<'_, 'k, H> {
        Creds(self)
    }
}

view_mut! {
    /// The credentials of the current process, to be changed; by
    /// [Linux's rules](crate::Difference::OwnCredentials) of the current LWP alone; of init in an
    /// implicit context. To look at them there is [`Entered::cred`].
    ///
    /// ```
    /// use lwproc::{CredChange, Kernel, Rfork};
    ///
    /// let kernel = Kernel::new();
    /// let mut k = kernel.enter()?;
    /// k.rfork(Rfork::Fresh)?;
    /// k.creds().set(&CredChange::SetUid(1000))?;
    /// assert_eq!(k.cred().users().effective, 1000);
    /// assert!(k.creds().set(&CredChange::SetUid(0)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Creds
}

impl<H: Host> Creds<'_, '_, H> {
    /// Changes the credentials of the current process: of init, in an implicit
    /// context. This context runs on the new ones at once, the process's other
    /// LWPs from their next entry on; or by [Linux's rules](crate::Difference::OwnCredentials)
    /// not at all.
    ///
    /// Lock-free but for the allocator; O(LWPs of the process).
    ///
    /// # Errors
    /// Nothing has changed then: [`CredError::NotPermitted`] (EPERM),
    /// [`CredError::TooManyGroups`] (EINVAL),
    /// [`CredError::InvalidId`] (EINVAL).
    #[doc(alias = "set_cred")]
    pub fn set(self, change: &CredChange) -> Result<(), CredError> {
        let keeps = self.0.seat.world().rules.is_linux(Difference::SeteuidToEffective);
        self.commit(|old| match *change {
            CredChange::SetEuid(id) if keeps && id == old.users().effective => Ok(old.clone()),
            CredChange::SetEgid(id) if keeps && id == old.groups().effective => Ok(old.clone()),
            _ => old.changed(change),
        })
    }

    /// Changes the credentials of the current process as [`Creds::set`], to
    /// whatever `prepare` makes of those it has, without any rule: for what the
    /// embedder itself decides, as an exec of a set-user-id program or a login.
    /// `prepare` is called again when another LWP has changed them meanwhile. Whatever
    /// it answers, this context runs on the process's newest credentials afterwards.
    ///
    /// Lock-free but for the allocator and `prepare`; O(LWPs of the process).
    ///
    /// # Errors
    /// What `prepare` answers. Nothing has changed then.
    #[doc(alias = "commit_cred")]
    pub fn commit<E>(self, prepare: impl FnMut(&Cred) -> Result<Cred, E>) -> Result<(), E> {
        let Self(k) = self;
        let (world, me) = (k.seat.world(), k.seat.me());
        let effective = |cred: &Cred| (cred.users().effective, cred.groups().effective);
        let before = effective(k.cred());
        let result = match k.node().filter(|_| creds::are_own(world.rules)) {
            // SAFETY: bound to this thread; nothing borrows them, see `Entered::creds`.
            Some(node) => unsafe { creds::set_own(world, node, prepare, me.lane, &me.pin()) },
            None => {
                let result = creds::setcred(world, k.proc(), prepare, me.lane, &me.pin());
                k.refresh_creds();
                result
            }
        };
        if world.config.is_touched(Part::DeathSignals)
            && effective(k.cred()) != before
            && let Some(node) = k.node()
        {
            // Its parent may have no right to the new user.
            node.set_death_signal(None);
        }
        result
    }

    /// Takes up a change that another LWP of the process has made since this context
    /// was entered; entering does the same. Lock-free; one load when there is none.
    // Seed: `lwp_update_creds` S101-S118.
    #[doc(alias = "update_creds")]
    #[doc(alias = "lwp_update_creds")]
    pub fn update(self) {
        self.0.refresh_creds();
    }
}
