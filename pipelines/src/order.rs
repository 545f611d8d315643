//! Older or newer: GitHub promises no order of its webhooks, so each head (branch, tag, pull request)
//! remembers what was handled last. An event that comes late still gets its run, as it would have in
//! order, but never the place of a newer one.
//!
//! Whoever handles an event asks [`at_hand`] first, and only where that cannot tell, GitHub: where
//! the head stands now ([`by_present`]), and then how two objects are related ([`by_history`]). All
//! are simulated together, in `simulation/webhooks.rs`.

use crate::ids::DeliveryId;
use crate::timestamp::Timestamp;

/// A head as it was last handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The object it stood at; of an annotated tag the tag itself.
    pub object: String,
    /// The delivery that brought it there; none if it was there when we first looked.
    pub by: Option<DeliveryId>,
    /// When that was, by GitHub's clock of whole seconds, if it is known.
    pub at: Option<Timestamp>,
}

/// A branch, tag or pull request that has moved, as an event tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadMove {
    /// `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub name: String,
    /// The object it stood at before, as far as the event says.
    pub before: Option<String>,
    /// The object it stands at now; of an annotated tag the tag itself, not its commit.
    pub after: String,
    /// When, by GitHub's clock of whole seconds, if the event says so.
    pub at: Option<Timestamp>,
}

/// How an event stands to what was handled of its head before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Nothing is known of the head: it is new, or is gone. Where its runs tell of something that
    /// happened after this event, that is late; else it is newer.
    First,
    /// It is newer.
    Next,
    /// Another delivery has said the same.
    Known,
    /// It is older than what this delivery has brought, or than what was there at the first look.
    Late(Option<DeliveryId>),
}

/// What can be told without asking.
pub fn at_hand(head: Option<&Head>, delivery: DeliveryId, moved: &HeadMove) -> Option<Order> {
    let Some(head) = head else {
        return Some(Order::First);
    };
    let is_same = moved.after == head.object;
    match head.by {
        // The same delivery once more, because a person wants it or a crash came between.
        Some(handled) if handled == delivery => Some(Order::Next),
        Some(_) if is_same => Some(Order::Known),
        // It was there when we first looked, and the webhook comes now.
        None if is_same => Some(Order::Next),
        // To an object where a head has been twice, an old event fits as well as a new one.
        Some(_) | None if moved.before.as_ref() == Some(&head.object) && is_after(head, moved) => {
            Some(Order::Next)
        }
        Some(_) | None => None,
    }
}

/// Whether the head is gone with an event that says so; `after` is then where it stood last. It may
/// have been made again meanwhile.
pub fn is_gone(head: &Head, gone: &HeadMove) -> bool {
    gone.after == head.object && !is_before(head, gone)
}

fn is_after(head: &Head, moved: &HeadMove) -> bool {
    matches!((head.at, moved.at), (Some(handled), Some(at)) if at > handled)
}

fn is_before(head: &Head, moved: &HeadMove) -> bool {
    matches!((head.at, moved.at), (Some(handled), Some(at)) if at < handled)
}

/// What can be told from where the head stands at GitHub now; none if there is no such head.
pub fn by_present(head: &Head, moved: &HeadMove, present: Option<&str>) -> Option<Order> {
    match present {
        // An older event may have led there as well, before the one that did last.
        Some(object) if object == moved.after && !is_before(head, moved) => Some(Order::Next),
        Some(object) if object == head.object => Some(Order::Late(head.by)),
        Some(_) | None => None,
    }
}

/// What the history tells: whether the object that the event brought is an ancestor of the handled
/// one. Where it is not, because of a forced push, the times do; and where they do not either, the
/// later event counts as the newer one: the head has moved on since, and where it stands has the last
/// word, as an event or because it is found.
pub fn by_history(head: &Head, moved: &HeadMove, is_ancestor: bool) -> Order {
    match is_ancestor || is_before(head, moved) {
        true => Order::Late(head.by),
        false => Order::Next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(by: Option<i64>, at: i64, before: Option<&str>, after: &str) -> Option<Order> {
        let head = Head {
            object: "b".into(),
            by: by.map(DeliveryId),
            at: Some(Timestamp(5)),
        };
        let moved = HeadMove {
            name: "refs/heads/main".into(),
            before: before.map(str::to_owned),
            after: after.into(),
            at: Some(Timestamp(at)),
        };
        at_hand(Some(&head), DeliveryId(2), &moved)
    }

    #[test]
    fn only_what_does_not_fit_the_head_is_asked_about() {
        let first_look = told(None, 4, Some("a"), "b");
        let replayed = told(Some(2), 4, Some("a"), "b");
        assert_eq!([first_look, replayed], [Some(Order::Next); 2]);
        assert_eq!(told(Some(1), 6, Some("b"), "c"), Some(Order::Next));
        assert_eq!(told(Some(1), 4, Some("a"), "b"), Some(Order::Known));
        let asked = [
            told(Some(1), 6, Some("x"), "a"),
            told(Some(1), 6, None, "a"),
            told(Some(1), 5, Some("b"), "c"),
        ];
        assert_eq!(asked, [None; 3]);
    }
}
