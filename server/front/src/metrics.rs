//! Prometheus metrics: calls by route and code, latencies, plans, queue, leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use boxwood_app::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of call times, in seconds.
const CALL_SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0];
/// Upper bounds of plan times, in seconds.
const PLAN_SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    front: &'static str,
    route: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    front: &'static str,
    route: &'static str,
}

type Total = Counter<u64, AtomicU64>;
type Level = Gauge<i64, AtomicI64>;
/// Reads one number of the counts.
type Read = fn(&Counts) -> u64;

/// Every metric of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Call, Total>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    plan_seconds: Histogram,
    in_flight: Level,
    totals: [(Total, Read); 8],
    levels: [(Level, Read); 3],
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("boxwood");
        let calls = Family::default();
        registry.register("calls", "Calls by front end, route and code", calls.clone());
        let histogram: fn() -> Histogram = || Histogram::new(CALL_SECONDS);
        let seconds = Family::new_with_constructor(histogram);
        registry.register("call_seconds", "Seconds of a call, waiting included", seconds.clone());
        let plan_seconds = Histogram::new(PLAN_SECONDS);
        registry.register("plan_seconds", "Seconds of a committed plan", plan_seconds.clone());
        let in_flight = Level::default();
        registry.register("calls_in_flight", "Calls served now", in_flight.clone());
        let mut total = |name: &str, help: &str, read: Read| {
            let counter = Total::default();
            registry.register(name, help, counter.clone());
            (counter, read)
        };
        let totals = [
            total("plans", "Committed plans", |c| c.plans),
            total("plan_moves", "Moves of committed plans", |c| c.moves),
            total("plan_conflicts", "Plans thrown away because another came first", |c| c.conflicts),
            total("plan_failures", "Plans that were not made", |c| c.failed),
            total("leases_granted", "Granted leases", |c| c.leases),
            total("reports", "Accepted reports", |c| c.reports),
            total("finishes", "Accepted ends of leases", |c| c.finishes),
            total("leases_reaped", "Leases that ran out", |c| c.reaped),
        ];
        let mut level = |name: &str, help: &str, read: Read| {
            let gauge = Level::default();
            registry.register(name, help, gauge.clone());
            (gauge, read)
        };
        let levels = [
            level("queued_trials", "Queued trials of active studies, as this server last saw them", |c| {
                c.queued
            }),
            level("leased_trials", "Leased trials of the same studies", |c| c.leased),
            level("active_studies", "Studies that this server plans for", |c| c.planning),
        ];
        Arc::new(Self { registry, calls, seconds, plan_seconds, in_flight, totals, levels })
    }

    /// Counts a call that ended; `code` is `ok` or a code of the table.
    pub(crate) fn observe(&self, front: &'static str, route: &'static str, code: &'static str, seconds: f64) {
        self.calls.get_or_create(&Call { front, route, code }).inc();
        self.seconds.get_or_create(&Route { front, route }).observe(seconds);
    }

    pub(crate) fn observe_plan(&self, seconds: f64) {
        self.plan_seconds.observe(seconds);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self, counts: &Counts, in_flight: u32) -> String {
        self.in_flight.set(in_flight.into());
        for (counter, read) in &self.totals {
            counter.inner().store(read(counts), Ordering::Relaxed);
        }
        for (gauge, read) in &self.levels {
            gauge.set(read(counts) as i64);
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => "# the metrics could not be written\n".into(),
        }
    }
}
