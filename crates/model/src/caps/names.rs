//! Sets of names: of variables, of tools, of servers with their tools.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::axis::{Axis, listed};

/// Names, or every name there is, which is written `["*"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub enum Names {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<String>),
}

/// What stands for every name.
const ALL: &str = "*";

impl Names {
    /// No name.
    pub const NONE: Self = Self::Only(BTreeSet::new());

    /// Whether a name is in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// The names of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Only(one), Self::Only(two)) => Self::Only(one | two),
        }
    }

    /// Whether no name is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}

impl From<Vec<String>> for Names {
    fn from(names: Vec<String>) -> Self {
        names.into_iter().collect()
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        if names.contains(ALL) { Self::All } else { Self::Only(names) }
    }
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Self {
        match names {
            Names::All => vec![ALL.to_owned()],
            Names::Only(names) => names.into_iter().collect(),
        }
    }
}

impl Axis for Names {
    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, one) | (one, Self::All) => one.clone(),
            (Self::Only(one), Self::Only(two)) => Self::Only(one & two),
        }
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        match (self, bound) {
            (_, Self::All) => None,
            (Self::All, Self::Only(_)) => Some(ALL.to_owned()),
            (Self::Only(own), Self::Only(bound)) => listed(own - bound),
        }
    }
}

/// Names for each of some owners; who is not in it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "BTreeMap<String, Names>", into = "BTreeMap<String, Names>")]
pub enum Table {
    /// Every name for everybody, which is written `{ "*" = ["*"] }`.
    All,
    /// These; nobody in it has none.
    Only(BTreeMap<String, Names>),
}

impl Table {
    /// No name for anybody.
    pub const NONE: Self = Self::Only(BTreeMap::new());

    /// What each has in either.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (Self::Only(one), Self::Only(two)) = (self, other) else { return Self::All };
        let owners = one.keys().chain(two.keys());
        let both = owners.map(|owner| (owner.clone(), self.of(owner).and(&other.of(owner))));
        both.collect::<BTreeMap<_, _>>().into()
    }

    /// What that one has.
    #[must_use]
    pub fn of(&self, owner: &str) -> Names {
        match self {
            Self::All => Names::All,
            Self::Only(table) => table.get(owner).cloned().unwrap_or(Names::NONE),
        }
    }
}

impl From<BTreeMap<String, Names>> for Table {
    fn from(mut table: BTreeMap<String, Names>) -> Self {
        table.retain(|_, names| !names.is_empty());
        if table.get(ALL) == Some(&Names::All) { Self::All } else { Self::Only(table) }
    }
}

impl From<Table> for BTreeMap<String, Names> {
    fn from(table: Table) -> Self {
        match table {
            Table::All => Self::from([(ALL.to_owned(), Names::All)]),
            Table::Only(table) => table,
        }
    }
}

impl Axis for Table {
    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, one) | (one, Self::All) => one.clone(),
            (Self::Only(one), Self::Only(two)) => {
                let both = one.iter().filter_map(|(owner, names)| {
                    Some((owner.clone(), names.meet(two.get(owner)?)))
                });
                both.collect::<BTreeMap<_, _>>().into()
            }
        }
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        match (self, bound) {
            (_, Self::All) => None,
            (Self::All, Self::Only(_)) => Some(ALL.to_owned()),
            (Self::Only(own), Self::Only(_)) => listed(own.iter().filter_map(|(owner, names)| {
                Some(format!("{owner}: {}", names.beyond(&bound.of(owner))?))
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(json: &str) -> Table {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_server_that_is_absent_and_one_without_tools_are_the_same() {
        assert_eq!(table(r#"{"a": [], "b": ["x"]}"#), table(r#"{"b": ["x"]}"#));
        assert_eq!(table(r#"{"a": []}"#), Table::NONE);
    }

    #[test]
    fn two_tables_come_to_what_both_have() {
        let meet = |one, two| serde_json::to_string(&table(one).meet(&table(two))).unwrap();
        assert_eq!(meet(r#"{"a": ["x", "y"]}"#, r#"{"a": ["y"], "b": ["z"]}"#), r#"{"a":["y"]}"#);
        assert_eq!(meet(r#"{"a": ["*"]}"#, r#"{"a": ["y"]}"#), r#"{"a":["y"]}"#);
        assert_eq!(meet(r#"{"*": ["*"]}"#, r#"{"a": ["y"]}"#), r#"{"a":["y"]}"#);
        assert_eq!(meet(r#"{"a": ["x"]}"#, r#"{"a": ["y"]}"#), "{}");
    }

    #[test]
    fn what_either_has_is_in_both_together() {
        let and = |one, two| serde_json::to_string(&table(one).and(&table(two))).unwrap();
        assert_eq!(
            and(r#"{"a": ["x"]}"#, r#"{"a": ["y"], "b": ["*"]}"#),
            r#"{"a":["x","y"],"b":["*"]}"#
        );
        assert_eq!(and(r#"{"a": ["x"]}"#, r#"{"*": ["*"]}"#), r#"{"*":["*"]}"#);
    }

    #[test]
    fn what_is_too_much_is_named_with_its_owner() {
        let beyond = |one, two| table(one).beyond(&table(two)).unwrap_or_default();
        assert_eq!(beyond(r#"{"a": ["x", "y"]}"#, r#"{"a": ["y"]}"#), "a: x");
        assert_eq!(beyond(r#"{"b": ["*"]}"#, r#"{"a": ["y"]}"#), "b: *");
        assert_eq!(beyond(r#"{"a": ["y"]}"#, r#"{"a": ["*"]}"#), "");
    }
}
