//! `transaction_sql_stmts`, a summary, which the client library of Prometheus has no type for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Summary};

const NAME: &str = "transaction_sql_stmts";
const HELP: &str =
    "The number of sql stmts called in a transaction by statement type per grpc service and method";

#[derive(Debug, Clone)]
pub(super) struct Statements {
    desc: Desc,
    series: Arc<Mutex<BTreeMap<Labels, Totals>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    method: String,
    service: String,
    kind: &'static str,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    transactions: u64,
    statements: u64,
}

/// Counts statements, and reports them when it is dropped.
#[derive(Debug)]
pub struct Transaction {
    statements: Statements,
    service: String,
    method: String,
    exec: u64,
    query: u64,
}

impl Transaction {
    /// One statement more that returns no rows.
    pub fn exec(&mut self) {
        self.exec += 1;
    }

    /// One statement more that returns rows.
    pub fn query(&mut self) {
        self.query += 1;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let mut series = self
            .statements
            .series
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in [("exec", self.exec), ("query", self.query)] {
            let totals = series
                .entry(Labels {
                    method: self.method.clone(),
                    service: self.service.clone(),
                    kind,
                })
                .or_default();
            totals.transactions += 1;
            totals.statements += count;
        }
    }
}

impl Statements {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let labels = ["grpc_service", "grpc_method", "stmt"].map(str::to_owned);
        let desc = Desc::new(
            NAME.to_owned(),
            HELP.to_owned(),
            labels.to_vec(),
            HashMap::new(),
        )?;
        Ok(Self {
            desc,
            series: Arc::default(),
        })
    }

    pub(super) fn transaction(&self, service: &str, method: &str) -> Transaction {
        Transaction {
            statements: self.clone(),
            service: service.to_owned(),
            method: method.to_owned(),
            exec: 0,
            query: 0,
        }
    }
}

impl Collector for Statements {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(
            series
                .iter()
                .map(|(labels, totals)| metric(labels, *totals))
                .collect(),
        );
        vec![family]
    }
}

fn metric(labels: &Labels, totals: Totals) -> Metric {
    let Labels {
        method,
        service,
        kind,
    } = labels;
    let Totals {
        transactions,
        statements,
    } = totals;
    let mut summary = Summary::default();
    summary.set_sample_count(transactions);
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 statements")]
    summary.set_sample_sum(statements as f64);
    let mut metric = Metric::from_label(vec![
        label("grpc_method", method),
        label("grpc_service", service),
        label("stmt", kind),
    ]);
    metric.set_summary(summary);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}
