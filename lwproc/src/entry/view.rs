//! What the views of an entered thread have in common.

/// Makes a view: a `Copy` value that borrows an [`Entered`](crate::Entered) and has
/// the operations of one noun. What they return borrows the `Entered`, not the view.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<'e, H: $crate::Host = $crate::ThreadHost>(&'e $crate::Entered<'e, H>);

        impl<H: $crate::Host> Clone for $name<'_, H> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<H: $crate::Host> Copy for $name<'_, H> {}

        impl<H: $crate::Host> std::fmt::Debug for $name<'_, H> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), " of {:?}"), self.0)
            }
        }
    };
}

/// The same for what must not meet a borrow that another view has given out.
macro_rules! view_mut {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<'e, 'k, H: $crate::Host = $crate::ThreadHost>(
            &'e mut $crate::Entered<'k, H>,
        );

        impl<H: $crate::Host> std::fmt::Debug for $name<'_, '_, H> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), " of {:?}"), self.0)
            }
        }
    };
}

pub(super) use {view, view_mut};
