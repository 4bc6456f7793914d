//! Which node of a cluster serves which channel. Pure.

use redis::Value;

/// How many slots a cluster has.
const SLOTS: u16 = 16384;

/// Which master serves which slots, as one node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// First and last slot, and the `host:port` of their master, in order.
    ranges: Vec<(u16, u16, String)>,
    /// The `host:port` of what follows a master; each may be here more than once.
    replicas: Vec<String>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS`; a node that does not know its own host is `asked`.
    pub(crate) fn read(answer: &Value, asked: &str) -> Option<Self> {
        let Value::Array(entries) = answer else {
            return None;
        };
        let mut map = Self::default();
        for entry in entries {
            let Value::Array(parts) = entry else {
                return None;
            };
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = &parts[..] else {
                return None;
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            map.ranges.push((first, last, read_node(master, asked)?));
            let replicas = replicas.iter().filter_map(|node| read_node(node, asked));
            map.replicas.extend(replicas);
        }
        map.ranges.sort();
        Some(map)
    }

    /// Whether each slot has the same master as in another map.
    pub(crate) fn has_masters_of(&self, other: &Self) -> bool {
        self.ranges == other.ranges
    }

    /// The master of a slot.
    pub(crate) fn master(&self, slot: u16) -> Option<&str> {
        let serves = |(first, last, _): &&(u16, u16, String)| (*first..=*last).contains(&slot);
        self.ranges
            .iter()
            .find(serves)
            .map(|(_, _, master)| master.as_str())
    }

    /// The master of a channel.
    pub(crate) fn master_of(&self, channel: &str) -> Option<&str> {
        self.master(slot_of(channel))
    }

    /// All masters, each once, in order.
    pub(crate) fn masters(&self) -> Vec<String> {
        let mut masters: Vec<_> = self.ranges.iter().map(|range| range.2.clone()).collect();
        masters.sort();
        masters.dedup();
        masters
    }

    /// All masters and replicas, each once, in order.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let mut nodes = self.masters();
        nodes.extend(self.replicas.iter().cloned());
        nodes.sort();
        nodes.dedup();
        nodes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// A name that begins with `stem`, for a channel that `master` serves.
    pub(crate) fn channel_on(&self, master: &str, stem: &str) -> Option<String> {
        // One in as many names as there are masters fits; this is far more than enough.
        (0..u32::from(SLOTS))
            .map(|number| format!("{stem}{number}#"))
            .find(|channel| self.master_of(channel) == Some(master))
    }
}

/// The `host:port` of a node, which begins with them.
fn read_node(node: &Value, asked: &str) -> Option<String> {
    let Value::Array(parts) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = &parts[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => "",
    };
    let host = match host {
        "" | "?" => asked.rsplit_once(':').map_or(asked, |(host, _)| host),
        host => host,
    };
    Some(format!("{host}:{port}"))
}

/// The slot of a channel: its hash tag's, if it has one.
pub(crate) fn slot_of(channel: &str) -> u16 {
    let tag = channel
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(channel).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let start = crc ^ (u16::from(*byte) << 8);
        (0..8).fold(start, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        let node = |host: &str, port| {
            Value::Array(vec![
                Value::BulkString(host.as_bytes().to_vec()),
                Value::Int(port),
                Value::BulkString(b"id".to_vec()),
            ])
        };
        let range = |first, last, master| {
            let replica = node("10.0.0.9", 9);
            Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
        };
        Value::Array(vec![
            range(0, 8191, node("10.0.0.1", 7000)),
            range(8192, 16383, node("", 7001)),
        ])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12182);
        assert_eq!(slot_of("{foo}bar"), slot_of("foo"));
        assert_eq!(slot_of("{}foo"), crc16(b"{}foo") % SLOTS);
    }

    #[test]
    fn channels_find_their_masters_and_masters_their_channels() {
        let map = SlotMap::read(&answer(), "10.0.0.2:7001").unwrap();
        assert_eq!(map.masters(), ["10.0.0.1:7000", "10.0.0.2:7001"]);
        assert_eq!(
            map.nodes(),
            ["10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.9:9"]
        );
        assert_eq!(map.master_of("foo"), Some("10.0.0.2:7001"));
        for master in map.masters() {
            let channel = map.channel_on(&master, "probe#").unwrap();
            assert_eq!(map.master_of(&channel), Some(master.as_str()));
        }
        assert_eq!(map.channel_on("elsewhere:1", "probe#"), None);
    }

    #[test]
    fn the_same_masters_are_the_same_in_any_order_and_whoever_follows_them() {
        let map = SlotMap::read(&answer(), "10.0.0.2:7001").unwrap();
        let Value::Array(mut entries) = answer() else {
            panic!("a list")
        };
        entries.reverse();
        for entry in &mut entries {
            let Value::Array(parts) = entry else {
                panic!("a list")
            };
            // Without its replica.
            parts.truncate(3);
        }
        let other = SlotMap::read(&Value::Array(entries), "10.0.0.2:7001").unwrap();
        assert!(other != map && other.has_masters_of(&map));
        let elsewhere = SlotMap::read(&answer(), "10.0.0.3:7001").unwrap();
        assert!(!elsewhere.has_masters_of(&map));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for answer in [Value::Nil, Value::Array(vec![Value::Int(1)])] {
            assert_eq!(SlotMap::read(&answer, "a:1"), None);
        }
    }
}
