//! A fault each second, on a few connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use wsproto_conformance::faults::{Fault, Proxy};
use wsproto_conformance::numbered::Dice;

use crate::member::{Control, Manner};

/// What is done to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Reset,
    HalfClose,
    Cut,
    ServerCloses,
    ClientVanishes,
    Stall,
    Delay,
    Trickle,
    DroppedFutures,
}

pub(crate) const KINDS: [Kind; 9] = [
    Kind::Reset,
    Kind::HalfClose,
    Kind::Cut,
    Kind::ServerCloses,
    Kind::ClientVanishes,
    Kind::Stall,
    Kind::Delay,
    Kind::Trickle,
    Kind::DroppedFutures,
];

/// A connection that faults can be injected into.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its address, as the proxy sees it.
    pub(crate) address: SocketAddr,
    pub(crate) secure: bool,
    pub(crate) manner: Manner,
    pub(crate) can_be_closed: bool,
    pub(crate) control: Arc<Control>,
}

#[derive(Debug)]
pub(crate) struct Injector {
    pub(crate) plain: Proxy,
    pub(crate) secure: Proxy,
    pub(crate) counts: BTreeMap<Kind, u64>,
    dice: Dice,
    second: usize,
    /// What lasts until it is healed: how many seconds more.
    lasting: Vec<(SocketAddr, bool, u32)>,
}

impl Injector {
    pub(crate) const fn new(plain: Proxy, secure: Proxy) -> Self {
        Self { plain, secure, counts: BTreeMap::new(), dice: Dice::new(1), second: 0, lasting: Vec::new() }
    }

    pub(crate) const fn proxy(&self, secure: bool) -> &Proxy {
        if secure { &self.secure } else { &self.plain }
    }

    /// The next second's kind, on one to three connections that have none yet.
    pub(crate) fn strike(&mut self, targets: &BTreeMap<u64, Target>) {
        self.heal();
        let kind = KINDS[self.second % KINDS.len()];
        self.second += 1;
        let able: Vec<&Target> = targets.values().filter(|target| self.is_able(target, kind)).collect();
        for _ in 0..=self.dice.below(3) {
            let place = usize::try_from(self.dice.below(able.len() as u64)).unwrap_or(0);
            if let Some(target) = able.get(place) {
                if !target.control.doomed.load(Relaxed) && self.inject(target, kind) {
                    *self.counts.entry(kind).or_default() += 1;
                }
            }
        }
    }

    fn is_able(&self, target: &Target, kind: Kind) -> bool {
        let able = match kind {
            // Only one that waits in `recv`, not in batches, drops its futures.
            Kind::DroppedFutures => matches!(target.manner, Manner::Send | Manner::Feed),
            Kind::ServerCloses => target.can_be_closed,
            _ => true,
        };
        let is_struck = self.lasting.iter().any(|(address, ..)| *address == target.address);
        able && !is_struck && !target.control.doomed.load(Relaxed)
    }

    fn inject(&mut self, target: &Target, kind: Kind) -> bool {
        let Target { address, secure, control, .. } = target;
        let ends = !matches!(kind, Kind::Stall | Kind::Delay | Kind::Trickle | Kind::DroppedFutures);
        // Before the fault: the connection may fail at once.
        control.doomed.store(ends, Relaxed);
        let fault = match kind {
            Kind::Reset => Fault::Reset,
            Kind::HalfClose => Fault::HalfClose,
            Kind::Cut => Fault::Cut { after_bytes: self.dice.below(10_000) },
            Kind::Stall => Fault::Stall(Duration::from_millis(1000 + self.dice.below(4000))),
            Kind::Delay => Fault::Delay(Duration::from_millis(self.dice.below(200)), Duration::from_millis(200)),
            Kind::Trickle => Fault::Trickle,
            Kind::ServerCloses => {
                control.ask.store(true, Relaxed);
                return true;
            }
            Kind::ClientVanishes => {
                control.vanish.store(true, Relaxed);
                return true;
            }
            Kind::DroppedFutures => {
                control.drops.store(100, Relaxed);
                return true;
            }
        };
        let injected = self.proxy(*secure).inject(*address, fault);
        if !injected {
            // Nothing was done to it: whatever ends it is no fault of ours.
            control.doomed.store(false, Relaxed);
        } else if !ends {
            self.lasting.push((*address, *secure, 5));
        }
        injected
    }

    /// Ends what has lasted for long enough.
    fn heal(&mut self) {
        let mut lasting = std::mem::take(&mut self.lasting);
        lasting.retain_mut(|(address, secure, seconds)| {
            *seconds -= 1;
            if *seconds == 0 {
                self.proxy(*secure).inject(*address, None);
            }
            *seconds > 0
        });
        self.lasting = lasting;
    }

    /// Ends all that lasts.
    pub(crate) fn heal_all(&mut self) {
        for (address, secure, _) in std::mem::take(&mut self.lasting) {
            self.proxy(secure).inject(address, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_no_fault_reached_is_not_doomed() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let proxy = async || Proxy::start(nobody, None).await.unwrap();
        let mut injector = Injector::new(proxy().await, proxy().await);
        let control = Arc::<Control>::default();
        let target = Target {
            address: nobody,
            secure: false,
            manner: Manner::Send,
            can_be_closed: true,
            control: control.clone(),
        };
        for kind in [Kind::Reset, Kind::Cut, Kind::Stall] {
            assert!(!injector.inject(&target, kind), "the proxy does not have it");
            assert!(!control.doomed.load(Relaxed) && injector.lasting.is_empty(), "{kind:?}");
        }
        assert!(injector.inject(&target, Kind::ClientVanishes) && control.doomed.load(Relaxed));
    }
}
