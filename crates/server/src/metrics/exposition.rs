//! How metrics are written: one family after the other, each with its samples.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::families::{Family, Kind};
use super::histogram::Counts;

/// The labels of a sample, by name.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes families.
pub(super) struct Exposition<'a>(pub(super) DescriptorEncoder<'a>);

impl Exposition<'_> {
    /// Writes a family of counters.
    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(family, Kind::Counter)?;
        for (labels, count) in samples {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    /// Writes a counter without labels.
    pub(super) fn counter(&mut self, family: &'static Family, count: u64) -> fmt::Result {
        self.begin(family, Kind::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// Writes a counter of seconds without labels.
    pub(super) fn counter_f64(&mut self, family: &'static Family, value: f64) -> fmt::Result {
        self.begin(family, Kind::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes a family of gauges.
    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (Labels<'l, N>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(family, Kind::Gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a gauge without labels, if its value is known.
    pub(super) fn gauge(&mut self, family: &'static Family, value: Option<f64>) -> fmt::Result {
        let mut metric = self.begin(family, Kind::Gauge)?;
        value.map_or(Ok(()), |value| metric.encode_gauge(&value))
    }

    /// Writes a family of histograms.
    pub(super) fn histograms<'l, const N: usize>(
        &mut self,
        family: &'static Family,
        samples: impl IntoIterator<Item = (Labels<'l, N>, Counts)>,
    ) -> fmt::Result {
        let mut metric = self.begin(family, Kind::Histogram)?;
        for (labels, counts) in samples {
            let Counts {
                buckets,
                sum,
                count,
            } = counts;
            metric
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn begin<'s>(
        &'s mut self,
        family: &'static Family,
        kind: Kind,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        debug_assert_eq!(family.kind, kind, "{}", family.name);
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        // The form of the text gives counters their ending by itself.
        let name = family.name.strip_suffix("_total").unwrap_or(family.name);
        self.0.encode_descriptor(name, family.help, None, kind)
    }
}
