//! Maps. Where the module is downloaded they are sorted lists: a hash table for each pair of types is code for each pair, and
//! what an isolate holds is few enough to be searched by halves.

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub(crate) use std::collections::{HashMap as Map, HashSet as Set};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use sorted::{Map, Set};

/// The names and signatures are those of `HashMap` and `HashSet`.
#[cfg(any(test, all(target_arch = "wasm32", target_os = "unknown")))]
mod sorted {
    /// Keys in order, with their values.
    #[derive(Clone, Debug)]
    pub(crate) struct Map<K, V>(Vec<(K, V)>);

    impl<K, V> Default for Map<K, V> {
        fn default() -> Self {
            Self(Vec::new())
        }
    }

    #[allow(dead_code)] // not each of them in each build
    impl<K: Ord, V> Map<K, V> {
        #[inline(never)]
        fn find(&self, key: &K) -> Result<usize, usize> {
            self.0.binary_search_by(|(other, _)| other.cmp(key))
        }

        pub(crate) fn get(&self, key: &K) -> Option<&V> {
            self.find(key).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
        }

        pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
            self.find(key).ok().and_then(|at| self.0.get_mut(at)).map(|(_, value)| value)
        }

        pub(crate) fn contains_key(&self, key: &K) -> bool {
            self.find(key).is_ok()
        }

        pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
            match self.find(&key) {
                Ok(at) => self.0.get_mut(at).map(|(_, held)| std::mem::replace(held, value)),
                Err(at) => {
                    self.0.insert(at, (key, value));
                    None
                }
            }
        }

        pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
            self.find(key).ok().map(|at| self.0.remove(at).1)
        }

        pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
            self.0.iter().map(|(key, value)| (key, value))
        }

        pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
            self.0.iter().map(|(key, _)| key)
        }

        pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
            self.0.iter().map(|(_, value)| value)
        }

        pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
            self.0.retain_mut(|(key, value)| keep(key, value));
        }

        pub(crate) fn clear(&mut self) {
            self.0.clear();
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    /// Keys in order.
    #[derive(Clone, Debug)]
    pub(crate) struct Set<K>(Map<K, ()>);

    impl<K> Default for Set<K> {
        fn default() -> Self {
            Self(Map::default())
        }
    }

    impl<K: Ord> Set<K> {
        pub(crate) fn contains(&self, key: &K) -> bool {
            self.0.contains_key(key)
        }

        pub(crate) fn insert(&mut self, key: K) -> bool {
            self.0.insert(key, ()).is_none()
        }

        pub(crate) fn remove(&mut self, key: &K) -> bool {
            self.0.remove(key).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sorted;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_sorted_list_is_a_map(steps in prop::collection::vec((0u8..3, 0u64..40), 0..200)) {
            let (mut ours, mut theirs) = (sorted::Map::default(), BTreeMap::new());
            let mut set = sorted::Set::default();
            for (at, (step, key)) in steps.into_iter().enumerate() {
                match step {
                    0 => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    _ => prop_assert_eq!(ours.insert(key, at), theirs.insert(key, at)),
                }
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
                prop_assert_eq!(ours.get_mut(&key), theirs.get_mut(&key));
                prop_assert!(ours.iter().eq(theirs.iter()) && ours.len() == theirs.len());
                let held = set.contains(&key);
                prop_assert_eq!(if step == 0 { set.remove(&key) } else { !set.insert(key) }, held);
            }
            ours.retain(|key, _| key % 2 == 0);
            theirs.retain(|key, _| key % 2 == 0);
            prop_assert!(ours.keys().eq(theirs.keys()) && ours.values().eq(theirs.values()));
        }
    }
}
