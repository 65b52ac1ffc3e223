//! From a name to a connected socket (RFC 8305, "Happy Eyeballs").

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep};

use crate::error::Error;

/// The time after which another address is tried beside those that have not answered: "a reasonable default is 250
/// milliseconds" (RFC 8305 §5, §8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Most addresses of a name that are tried. A name may have any number; who does not answer at so many is down.
const MAX_ADDRESSES: usize = 16;

/// Connects to one of the addresses of a host: a name, or an address without brackets.
///
/// All that it does ends when the future is dropped, but for the look-up of a name, a call of the operating system on a
/// thread of tokio's, which nobody can interrupt. It has no time limit of its own.
pub(crate) async fn dial(host: &str, port: u16, nodelay: bool) -> Result<TcpStream, Error> {
    let resolve_error = |error| Error::Resolve { host: host.to_owned(), error };
    let found = lookup_host((host, port)).await.map_err(resolve_error)?;
    let stream = race(interleave(found), TcpStream::connect).await?;
    stream.set_nodelay(nodelay)?;
    Ok(stream)
}

/// The addresses in the order in which they are tried: that of the resolver (which sorts as RFC 6724 says), but the two
/// families in turn, from its first on ("First Address Family Count" 1, RFC 8305 §4), each address once.
fn interleave(found: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for address in found {
        let is_first = first.first().is_none_or(|first: &SocketAddr| first.is_ipv4() == address.is_ipv4());
        let family = if is_first { &mut first } else { &mut second };
        if family.len() < MAX_ADDRESSES && !family.contains(&address) {
            family.push(address);
        }
    }
    let mut second = second.into_iter();
    let mut order: Vec<_> = first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    order.extend(second);
    order.truncate(MAX_ADDRESSES);
    order
}

/// Connects to the addresses in their order. Each is tried 250 ms after the one before, or at once when an attempt has
/// failed. The first that connects ends all others.
///
/// When all have failed, the error is the one that tells most ([`telling`]).
async fn race<T, F>(addresses: Vec<SocketAddr>, mut connect: impl FnMut(SocketAddr) -> F) -> Result<T, Error>
where
    F: Future<Output = io::Result<T>>,
{
    let mut addresses = addresses.into_iter();
    let mut attempts: Vec<Pin<Box<F>>> = Vec::new();
    let mut failure: Option<io::Error> = None;
    let mut delay = pin!(sleep(Duration::ZERO));
    loop {
        if let Some(address) = addresses.next() {
            attempts.push(Box::pin(connect(address)));
            delay.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
        } else if attempts.is_empty() {
            return Err(failure.map_or(Error::NoAddress, Error::Io));
        }
        // Ends with a connection, or when it is time for the next attempt.
        let connected = poll_fn(|context| {
            let before = attempts.len();
            let mut index = 0;
            while let Some(attempt) = attempts.get_mut(index) {
                match attempt.as_mut().poll(context) {
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Some(connected)),
                    Poll::Ready(Err(error)) => {
                        drop(attempts.remove(index));
                        if failure.as_ref().is_none_or(|other| telling(&error) > telling(other)) {
                            failure = Some(error);
                        }
                    }
                    Poll::Pending => index += 1,
                }
            }
            let is_time = addresses.len() > 0 && delay.as_mut().poll(context).is_ready();
            if attempts.len() < before || is_time { Poll::Ready(None) } else { Poll::Pending }
        });
        if let Some(connected) = connected.await {
            return Ok(connected);
        }
    }
}

/// How much a failure says about the server; of equals the first stays, as the resolver prefers its address.
///
/// Where one family has no route, as on many machines, "Network is unreachable" would hide that the server refuses.
fn telling(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => 2,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::time::timeout;

    use super::*;

    fn v4(last: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, last), 80).into()
    }

    fn v6(last: u16) -> SocketAddr {
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 80).into()
    }

    /// What becomes of an attempt, and after how many milliseconds.
    #[derive(Clone, Copy)]
    enum Fate {
        Connects(u64),
        Fails(u64, io::ErrorKind),
        Hangs,
    }
    use Fate::{Connects, Fails, Hangs};
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied, TimedOut};

    /// A network in tokio's paused time.
    struct Network {
        start: Instant,
        /// Who was tried, and when in milliseconds.
        tried: RefCell<Vec<(SocketAddr, u128)>>,
        /// Whose attempt was dropped, or ended.
        over: RefCell<Vec<SocketAddr>>,
    }

    /// Tells the network when an attempt is over.
    struct Attempt<'a>(&'a Network, SocketAddr);

    impl Drop for Attempt<'_> {
        fn drop(&mut self) {
            self.0.over.borrow_mut().push(self.1);
        }
    }

    impl Network {
        fn new() -> Self {
            Self { start: Instant::now(), tried: RefCell::default(), over: RefCell::default() }
        }

        /// Races to these addresses; who connects, and when.
        async fn race(&self, fates: &[(SocketAddr, Fate)]) -> Result<(SocketAddr, u128), Error> {
            let addresses = fates.iter().map(|(address, _)| *address).collect();
            let connected = race(addresses, |address| {
                self.tried.borrow_mut().push((address, self.start.elapsed().as_millis()));
                let fate = fates.iter().find(|(other, _)| *other == address).map_or(Hangs, |(_, fate)| *fate);
                let attempt = Attempt(self, address);
                async move {
                    let _attempt = attempt;
                    match fate {
                        Connects(after) => {
                            sleep(Duration::from_millis(after)).await;
                            Ok(address)
                        }
                        Fails(after, kind) => {
                            sleep(Duration::from_millis(after)).await;
                            Err(kind.into())
                        }
                        Hangs => std::future::pending().await,
                    }
                }
            });
            // A race that never ends fails here.
            let connected = timeout(Duration::from_secs(60), connected).await.expect("the race ends");
            Ok((connected?, self.start.elapsed().as_millis()))
        }

        fn tried(&self) -> Vec<(SocketAddr, u128)> {
            self.tried.borrow().clone()
        }

        fn over(&self) -> Vec<SocketAddr> {
            let mut over = self.over.borrow().clone();
            over.sort();
            over
        }
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_begins() {
        let order = |found: &[SocketAddr]| interleave(found.iter().copied());
        assert_eq!(order(&[]), []);
        assert_eq!(order(&[v6(1), v6(2), v6(3), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(order(&[v4(2), v6(1), v4(1), v6(2), v6(3)]), [v4(2), v6(1), v4(1), v6(2), v6(3)]);
        assert_eq!(order(&[v6(1), v6(1), v4(1), v6(1), v4(1)]), [v6(1), v4(1)]);
        assert_eq!(order(&[v4(1)]), [v4(1)]);
    }

    #[test]
    fn not_more_than_16_addresses_are_tried() {
        let many = interleave((0..300).map(v6).chain((0..200).map(v4)));
        assert_eq!(many.len(), 16);
        assert_eq!((many[14], many[15]), (v6(7), v4(7)));
        assert_eq!(interleave((0..300).map(v6)), (0..16).map(v6).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_address_is_tried_after_250_ms() {
        let network = Network::new();
        let won = network.race(&[(v6(1), Hangs), (v4(1), Connects(30)), (v6(2), Connects(0))]).await.unwrap();
        assert_eq!(won, (v4(1), 280));
        assert_eq!(network.tried(), [(v6(1), 0), (v4(1), 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_wins_alone_where_it_answers_in_time() {
        let network = Network::new();
        assert_eq!(network.race(&[(v6(1), Connects(249)), (v4(1), Connects(0))]).await.unwrap(), (v6(1), 249));
        assert_eq!(network.tried(), [(v6(1), 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_attempt_at_once() {
        let network = Network::new();
        let fates = [(v6(1), Fails(10, ConnectionRefused)), (v4(1), Hangs), (v6(2), Connects(5))];
        assert_eq!(network.race(&fates).await.unwrap(), (v6(2), 265));
        // The delay counts from the attempt before.
        assert_eq!(network.tried(), [(v6(1), 0), (v4(1), 10), (v6(2), 260)]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_tried_one_after_another_and_the_winner_ends_the_others() {
        let network = Network::new();
        let fates = [
            (v6(1), Connects(900)),
            (v4(1), Hangs),
            (v6(2), Hangs),
            (v4(2), Hangs),
            (v6(3), Connects(0)),
            (v4(3), Hangs),
        ];
        assert_eq!(network.race(&fates[..4]).await.unwrap(), (v6(1), 900));
        assert_eq!(network.tried(), [(v6(1), 0), (v4(1), 250), (v6(2), 500), (v4(2), 750)]);
        assert_eq!(network.over(), [v4(1), v4(2), v6(1), v6(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_the_first_address_still_wins() {
        let network = Network::new();
        let fates = [(v6(1), Connects(300)), (v4(1), Connects(100))];
        assert_eq!(network.race(&fates).await.unwrap(), (v6(1), 300));
        assert_eq!(network.over(), [v4(1), v6(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_race_drops_its_attempts() {
        let network = Network::new();
        let fates = [(v6(1), Hangs), (v4(1), Hangs), (v6(2), Hangs)];
        let timed_out = timeout(Duration::from_millis(400), network.race(&fates)).await;
        assert!(timed_out.is_err());
        assert_eq!(network.tried(), [(v6(1), 0), (v4(1), 250)]);
        assert_eq!(network.over(), [v4(1), v6(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_fail_the_error_is_the_one_that_tells_most() {
        for (kinds, told) in [
            (&[NetworkUnreachable, ConnectionRefused][..], ConnectionRefused),
            (&[ConnectionRefused, NetworkUnreachable], ConnectionRefused),
            (&[NetworkUnreachable, TimedOut], TimedOut),
            (&[TimedOut, HostUnreachable], TimedOut),
            (&[HostUnreachable, TimedOut, ConnectionRefused], ConnectionRefused),
            (&[PermissionDenied, NetworkUnreachable], PermissionDenied),
        ] {
            let network = Network::new();
            let fates: Vec<_> = kinds.iter().zip(1..).map(|(kind, last)| (v4(last), Fails(0, *kind))).collect();
            match network.race(&fates).await {
                Err(Error::Io(error)) => assert_eq!(error.kind(), told, "{kinds:?}"),
                other => panic!("{kinds:?}: {other:?}"),
            }
            assert_eq!(network.tried().len(), kinds.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_waits_for_those_who_may_still_answer() {
        let network = Network::new();
        let fates = [(v6(1), Connects(5000)), (v4(1), Fails(0, ConnectionRefused))];
        assert_eq!(network.race(&fates).await.unwrap(), (v6(1), 5000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_without_an_address_is_said_to_have_none() {
        let error = Network::new().race(&[]).await.unwrap_err();
        assert!(matches!(error, Error::NoAddress), "{error:?}");
    }

    #[tokio::test]
    async fn localhost_is_reached_whatever_its_first_address_is() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for nodelay in [true, false] {
            let dialled = timeout(Duration::from_secs(60), dial("localhost", port, nodelay)).await;
            let stream = dialled.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
            assert_eq!(stream.nodelay().unwrap(), nodelay);
        }
        // Not every machine has both addresses of `localhost`, or IPv6 at all: then this attempt fails in another way.
        let addresses = vec![(Ipv6Addr::LOCALHOST, port).into(), listener.local_addr().unwrap()];
        let raced = timeout(Duration::from_secs(60), race(addresses, TcpStream::connect)).await;
        let stream = raced.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn who_refuses_is_said_to_refuse() {
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match timeout(Duration::from_secs(60), dial("127.0.0.1", port, true)).await.unwrap() {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ConnectionRefused),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_named() {
        // NUL is in no name: no resolver is asked.
        let error = dial("a\0b", 80, true).await.unwrap_err();
        assert!(matches!(&error, Error::Resolve { host, .. } if host == "a\0b"), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("cannot find the address of a\\u{0}b: "), "{text}");
        assert!(std::error::Error::source(&error).is_some() && error.close_code().is_none());
    }
}
