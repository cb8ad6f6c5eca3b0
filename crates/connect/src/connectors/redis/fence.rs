//! Writes that leave a newer value alone.
//!
//! Beside each key that a connector writes is another one, its fence, with the order of the event that wrote it last. A
//! script compares and writes both at once, so that an event that is delivered late, or again, changes nothing.
//!
//! The order is the commit time and then the position: that of the log, as commit times never go back. In a store that was
//! restored from a backup, positions are given again and commit times are not.

use std::time::Duration;

use leftfold_api::Recorded;
use redis::Cmd;

/// How long the fence outlives a value that expires or is deleted: as long as the longest pause between two attempts.
const AFTER_VALUE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The digits of an order.
const DIGITS: usize = 40;

/// Compares and writes. A value without an end has a fence without one.
///
/// It is sent whole each time: 0.7 KB, and a server that has restarted or failed over knows no other script either. A key
/// of another type is someone else's, and is left alone.
pub(super) const SCRIPT: &str = "
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'string' then
  return redis.error_reply('WRONGTYPE the key is a ' .. kind .. ', expected text or nothing')
end
local last = redis.call('GET', KEYS[2])
if last and #last ~= 40 then
  return redis.error_reply('WRONGTYPE the key ' .. KEYS[2] .. ' is no fence of Leftfold')
end
if last and last > ARGV[1] then return 0 end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[2], ARGV[1])
else
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
end
if ARGV[4] == nil then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[2])
end
return 1
";

/// Returns the command that sets a key, unless a newer event has changed it.
pub(super) fn set(event: &Recorded, key: &str, value: &str, expire: Option<Duration>) -> Cmd {
    let fence = expire.map(|expire| expire.max(AFTER_VALUE));
    let mut command = write(event, key, expire, fence);
    command.arg(value);
    command
}

/// Returns the command that deletes a key, unless a newer event has changed it.
pub(super) fn delete(event: &Recorded, key: &str) -> Cmd {
    write(event, key, None, Some(AFTER_VALUE))
}

fn write(event: &Recorded, key: &str, expire: Option<Duration>, fence: Option<Duration>) -> Cmd {
    let millis = |span: Option<Duration>| span.map_or(0, |span| span.as_millis()).to_string();
    let mut command = redis::cmd("EVAL");
    command.arg(SCRIPT).arg(2).arg(key).arg(fence_key(key));
    command.arg(order(event)).arg(millis(expire)).arg(millis(fence));
    command
}

/// Returns the order of an event as text of one length, which a script compares without losing digits.
fn order(event: &Recorded) -> String {
    let micros = event.commit_time().micros().max(0);
    let order = format!("{micros:020}{:020}", event.position());
    debug_assert_eq!(order.len(), DIGITS);
    order
}

/// Returns the key of a fence. It is in the hash slot of its key, so that a proxy in front of a Redis Cluster finds both;
/// only a key with a closing brace and no tag has no such name.
pub(super) fn fence_key(key: &str) -> String {
    let tag = key.split_once('{').and_then(|(_, behind)| behind.split_once('}'));
    match tag {
        Some((tag, _)) if !tag.is_empty() => format!("{key}:leftfold"),
        _ => format!("{{{key}}}:leftfold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_in_the_slot_of_its_key() {
        for (key, fence) in [
            ("order:7", "{order:7}:leftfold"),
            ("{order}:7", "{order}:7:leftfold"),
            ("a:{b}:{c}", "a:{b}:{c}:leftfold"),
        ] {
            assert_eq!(fence_key(key), fence);
        }
    }
}
