//! Which stages of one list wait for which others.

use crate::{Stage, StageId};

/// What is wrong with a list of stages. Stages are named by their places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StagesFault {
    /// There is none.
    Empty,
    /// Two stages have one id.
    SameId {
        /// The later one.
        stage: usize,
        /// The earlier one.
        first: usize,
    },
    /// A stage needs one that is not in the list.
    UnknownNeed {
        /// The stage.
        stage: usize,
        /// Which of its needs.
        need: usize,
    },
    /// Each of these needs the next one, and the last needs the first.
    Cycle(Vec<usize>),
}

/// What each stage of a list waits for, as places in that list. A stage that says nothing waits
/// for the one written just before it.
pub fn needs_of(stages: &[Stage]) -> Result<Vec<Vec<usize>>, StagesFault> {
    if stages.is_empty() {
        return Err(StagesFault::Empty);
    }
    let mut places = std::collections::BTreeMap::<&StageId, usize>::new();
    for (stage, Stage { id, .. }) in stages.iter().enumerate() {
        if let Some(first) = places.insert(id, stage) {
            return Err(StagesFault::SameId { stage, first });
        }
    }
    let mut needs = Vec::with_capacity(stages.len());
    for (stage, Stage { needs: written, .. }) in stages.iter().enumerate() {
        let mut of_stage = match written {
            None => stage.checked_sub(1).into_iter().collect::<Vec<_>>(),
            Some(ids) => ids
                .iter()
                .enumerate()
                .map(|(need, id)| {
                    places.get(id).copied().ok_or(StagesFault::UnknownNeed { stage, need })
                })
                .collect::<Result<_, _>>()?,
        };
        of_stage.sort_unstable();
        of_stage.dedup();
        needs.push(of_stage);
    }
    match cycle(&needs) {
        Some(places) => Err(StagesFault::Cycle(places)),
        None => Ok(needs),
    }
}

/// A ring of places each of which needs the next, if there is one. Every need is a place in `needs`.
#[must_use]
pub fn cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnPath,
        Done,
    }
    let mut seen = vec![Seen::No; needs.len()];
    for start in 0..needs.len() {
        // The way from `start` to where we are, each place with its next need to look at. A loop
        // and not a recursion: a list may be longer than the stack is deep.
        let mut path = Vec::new();
        if seen[start] == Seen::No {
            seen[start] = Seen::OnPath;
            path.push((start, 0));
        }
        while let Some((place, next)) = path.last_mut() {
            let Some(&need) = needs[*place].get(*next) else {
                seen[*place] = Seen::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match seen[need] {
                Seen::Done => {}
                Seen::No => {
                    seen[need] = Seen::OnPath;
                    path.push((need, 0));
                }
                Seen::OnPath => {
                    let ring = path.iter().map(|&(place, _)| place);
                    return Some(ring.skip_while(|&place| place != need).collect());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommandStage, Source, StageBody};

    /// Stages written as `a b:a c:a,b d:`; a colon stands before what is needed.
    fn check(written: &str, expected: Result<&[&[usize]], StagesFault>) {
        let stages: Vec<Stage> = written
            .split_whitespace()
            .map(|word| {
                let (id, needs) = match word.split_once(':') {
                    None => (word, None),
                    Some((id, needs)) => (id, Some(needs)),
                };
                Stage {
                    id: id.parse().unwrap(),
                    title: None,
                    needs: needs.map(|needs| {
                        let ids = needs.split(',').filter(|need| !need.is_empty());
                        ids.map(|need| need.parse().unwrap()).collect()
                    }),
                    allow_failure: false,
                    summary_hint: None,
                    body: StageBody::Command(CommandStage::shell("true")),
                    caps: None,
                    source: Source::BuiltIn,
                }
            })
            .collect();
        let expected = expected.map(|needs| needs.iter().map(|of| of.to_vec()).collect());
        assert_eq!(needs_of(&stages), expected, "{written}");
    }

    #[test]
    fn a_stage_that_says_nothing_waits_for_the_one_before_it() {
        check("a b c", Ok(&[&[], &[0], &[1]]));
        check("a b: c", Ok(&[&[], &[], &[1]]));
    }

    #[test]
    fn needs_may_point_forward_and_say_a_thing_twice() {
        check("a:c b:c,c c:", Ok(&[&[2], &[2], &[]]));
    }

    #[test]
    fn what_can_never_start_is_found() {
        check("", Err(StagesFault::Empty));
        check("a b a", Err(StagesFault::SameId { stage: 2, first: 0 }));
        check("a b:a,x", Err(StagesFault::UnknownNeed { stage: 1, need: 1 }));
        check("a:a", Err(StagesFault::Cycle(vec![0])));
        check("x a:c b:a c:b", Err(StagesFault::Cycle(vec![1, 3, 2])));
        // `b` says nothing and so waits for `a`, which waits for it.
        check("a:b b", Err(StagesFault::Cycle(vec![0, 1])));
    }

    #[test]
    fn a_long_list_does_not_exhaust_the_stack() {
        let chain: Vec<Vec<usize>> = (0..200_000).map(|at| vec![(at + 1) % 200_000]).collect();
        assert_eq!(cycle(&chain).map(|ring| ring.len()), Some(200_000));
    }
}
