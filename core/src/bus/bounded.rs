//! A vector that never grows.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut};

use crate::OutOfMemory;

/// A vector with room for a fixed number of elements, reserved when it is made: pushing never allocates.
///
/// Derefs to the slice of its elements. Equality and hash are those of the elements.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    items: Vec<T>,
    limit: usize,
}

impl<T> Bounded<T> {
    /// Room for `limit` elements. Sleepable contexts.
    pub fn new(limit: usize) -> Result<Bounded<T>, OutOfMemory> {
        let mut items = Vec::new();
        items.try_reserve_exact(limit).map_err(|_| OutOfMemory)?;
        Ok(Bounded { items, limit })
    }

    /// Makes room for `more` elements beyond the present limit. Sleepable contexts.
    pub fn grow(&mut self, more: usize) -> Result<(), OutOfMemory> {
        let limit = self.limit.checked_add(more).ok_or(OutOfMemory)?;
        self.items.try_reserve_exact(limit.saturating_sub(self.items.len())).map_err(|_| OutOfMemory)?;
        self.limit = limit;
        Ok(())
    }

    /// Moves into a larger list and leaves the smaller one in its place; nothing happens if it is not larger. Any context.
    pub fn move_into(&mut self, larger: &mut Bounded<T>) {
        if larger.limit > self.limit && larger.items.is_empty() {
            larger.items.append(&mut self.items);
            core::mem::swap(self, larger);
        }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// Appends; hands the element back when there is no room.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let end = self.items.len();
        self.insert(end, item)
    }

    /// Inserts before the element at `at`, at most at the end; hands the element back when there is no room.
    pub fn insert(&mut self, at: usize, item: T) -> Result<(), T> {
        if self.is_full() || at > self.items.len() {
            return Err(item);
        }
        self.items.insert(at, item);
        Ok(())
    }

    /// Takes the element at `at` out, keeping the order of the others.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        (at < self.items.len()).then(|| self.items.remove(at))
    }

    pub fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(keep);
    }

    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<T> Deref for Bounded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for Bounded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

/// `Vec::clone` would drop the spare room, and a push on the clone would allocate. Cloning a bus is for model checking
/// and tests, where allocating may fail loudly.
impl<T: Clone> Clone for Bounded<T> {
    fn clone(&self) -> Bounded<T> {
        let mut items = Vec::with_capacity(self.limit);
        items.extend_from_slice(&self.items);
        Bounded { items, limit: self.limit }
    }
}

impl<T: PartialEq> PartialEq for Bounded<T> {
    fn eq(&self, other: &Bounded<T>) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for Bounded<T> {}

impl<T: Hash> Hash for Bounded<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.items.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_never_allocates_also_on_a_clone() {
        let mut list = Bounded::new(3).unwrap();
        list.push(1).unwrap();
        let mut copy = list.clone();
        let room = copy.items.capacity();
        assert!(room >= 3);
        copy.push(2).unwrap();
        copy.insert(0, 0).unwrap();
        assert_eq!(copy.push(9), Err(9));
        assert_eq!((&*copy, copy.items.capacity()), (&[0, 1, 2][..], room));
        assert_eq!((copy.remove(1), copy.remove(7)), (Some(1), None));
        assert_ne!(copy, list);
        list.grow(2).unwrap();
        assert_eq!(list.limit(), 5);
    }

    #[test]
    fn a_list_moves_into_a_larger_one_without_allocating() {
        let mut list = Bounded::new(2).unwrap();
        list.push(1).unwrap();
        let mut other = Bounded::new(2).unwrap();
        list.move_into(&mut other);
        assert_eq!((list.limit(), other.limit(), &*list), (2, 2, &[1][..]));
        let mut other = Bounded::new(3).unwrap();
        let (place, room) = (other.items.as_ptr(), other.items.capacity());
        list.move_into(&mut other);
        assert_eq!((list.limit(), other.limit(), &*list, &*other), (3, 2, &[1][..], &[][..]));
        assert_eq!((list.items.as_ptr(), list.items.capacity()), (place, room));
    }
    #[test]
    fn a_list_moves_into_nothing_smaller_and_nothing_in_use() {
        let mut list = Bounded::new(3).unwrap();
        list.push(1).unwrap();
        let mut smaller = Bounded::new(2).unwrap();
        list.move_into(&mut smaller);
        assert_eq!((list.limit(), &*list, smaller.limit()), (3, &[1][..], 2));
        let mut in_use = Bounded::new(4).unwrap();
        in_use.push(2).unwrap();
        list.move_into(&mut in_use);
        assert_eq!((list.limit(), &*list, &*in_use), (3, &[1][..], &[2][..]));
    }

    #[test]
    fn the_hash_is_that_of_the_elements() {
        let hash = |elements: &[u32], limit| {
            let mut list = Bounded::new(limit).unwrap();
            elements.iter().for_each(|element| list.push(*element).unwrap());
            let mut hasher = std::hash::DefaultHasher::new();
            list.hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&[1, 2], 2), hash(&[1, 2], 3));
        assert_ne!(hash(&[1, 2], 2), hash(&[1, 3], 2));
    }
}
