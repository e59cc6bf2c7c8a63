//! What can be said of one thing, from nothing to everything, and what two of them come to.

/// A value of a cap. The order is partial: less is what allows less.
pub(super) trait Axis: Sized {
    /// The most that both allow.
    fn meet(&self, other: &Self) -> Self;

    /// What this one allows and `bound` does not, as a person would name it.
    fn beyond(&self, bound: &Self) -> Option<String>;
}

/// Values in a line, the narrowest first.
macro_rules! in_a_line {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::caps::axis::Axis for $name {
            fn meet(&self, other: &Self) -> Self {
                *self.min(other)
            }

            fn beyond(&self, bound: &Self) -> Option<String> {
                (self > bound).then(|| self.as_str().to_owned())
            }
        }
    )+};
}
pub(super) use in_a_line;

impl Axis for bool {
    fn meet(&self, other: &Self) -> Self {
        *self && *other
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        (*self && !*bound).then(|| "true".to_owned())
    }
}

/// Names as an error lists them.
pub(super) fn listed<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> Option<String> {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
