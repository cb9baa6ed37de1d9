//! Where replicas go: striped over racks and brokers, as Kafka's `StripedReplicaPlacer`.
//!
//! Each partition starts one rack further than the one before, so that leaders and replicas spread; within a rack,
//! too, every round starts one broker further, and after as many partitions as there are unfenced brokers the order is
//! shuffled, so that not the same brokers always follow each other. The first replica is never on a fenced broker.

use std::collections::BTreeMap;

use base::NodeId;

use crate::Random;
use crate::handle::Controller;
use crate::random::{below, shuffle};

/// Brokers of one rack, all fenced or all not.
#[derive(Default)]
struct Brokers {
    ids: Vec<NodeId>,
    offset: usize,
    epoch: usize,
    taken: usize,
}

impl Brokers {
    fn start(&mut self, random: &mut dyn Random) {
        self.ids.sort_unstable();
        if !self.ids.is_empty() {
            self.offset = below(random, self.ids.len());
        }
    }

    /// The next one in this round (`epoch`) until all were taken.
    fn next(&mut self, epoch: usize) -> Option<NodeId> {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.taken = 0;
            self.offset = self.offset.wrapping_add(1).checked_rem(self.ids.len()).unwrap_or(0);
        }
        if self.taken >= self.ids.len() {
            return None;
        }
        let position = (self.taken + self.offset).checked_rem(self.ids.len())?;
        self.taken += 1;
        self.ids.get(position).copied()
    }
}

#[derive(Default)]
struct Rack {
    unfenced: Brokers,
    fenced: Brokers,
}

impl Rack {
    fn next(&mut self, epoch: usize) -> Option<NodeId> {
        self.unfenced.next(epoch).or_else(|| self.fenced.next(epoch))
    }
}

/// Places partition after partition.
struct Placer<'r> {
    random: &'r mut dyn Random,
    /// Sorted by name, those without a rack first.
    racks: Vec<Rack>,
    /// Whose turn it is after whom: positions of `racks`, sorted until they are shuffled.
    order: Vec<usize>,
    unfenced: usize,
    epoch: usize,
    offset: usize,
}

/// Replicas for `partitions` partitions, or Kafka's reason why there are none.
pub(crate) fn place(
    controller: &Controller,
    partitions: usize,
    replicas: i16,
    random: &mut dyn Random,
) -> Result<Vec<Vec<NodeId>>, String> {
    let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
    let (mut total, mut unfenced) = (0, 0);
    for (id, fenced) in controller.sessions.usable() {
        let broker = controller.image().cluster.broker(id);
        let Some(broker) = broker.filter(|broker| broker.has_uncordoned_directory()) else {
            continue;
        };
        let rack = racks.entry(broker.rack.as_deref()).or_default();
        let brokers = if fenced { &mut rack.fenced } else { &mut rack.unfenced };
        brokers.ids.push(id);
        total += 1;
        unfenced += usize::from(!fenced);
    }
    let wanted = usize::try_from(replicas).ok().filter(|wanted| *wanted > 0).ok_or_else(|| {
        format!("Invalid replication factor {replicas}: the replication factor must be positive.")
    })?;
    if unfenced == 0 {
        return Err(
            "All brokers are currently fenced, or have all their log directories cordoned."
                .to_owned(),
        );
    }
    if wanted > total {
        return Err(format!(
            "The target replication factor of {replicas} cannot be reached because only {total} broker(s) are \
             registered or some brokers have all their log directories cordoned."
        ));
    }
    let mut racks: Vec<Rack> = racks.into_values().collect();
    for rack in &mut racks {
        rack.fenced.start(random);
        rack.unfenced.start(random);
    }
    let offset = below(random, racks.len());
    let order = (0..racks.len()).collect();
    let mut placer = Placer { random, racks, order, unfenced, epoch: 0, offset };
    Ok((0..partitions).map(|_| placer.next(wanted)).collect())
}

impl Placer<'_> {
    fn next(&mut self, replicas: usize) -> Vec<NodeId> {
        if self.epoch == self.unfenced && self.unfenced > 1 {
            self.shuffle();
            self.epoch = 0;
        }
        if self.offset == self.order.len() {
            self.offset = 0;
        }
        let mut brokers = Vec::with_capacity(replicas);
        // There is an unfenced broker, and each list starts anew in a new epoch: one of the racks has the first.
        let count = self.order.len();
        let (offset, epoch) = (self.offset, self.epoch);
        let in_order = (0..count).map(|step| (offset + step) % count);
        let mut first_rack = None;
        for position in in_order {
            if let Some(id) = self.rack(position).and_then(|rack| rack.unfenced.next(epoch)) {
                brokers.push(id);
                first_rack = Some(position);
                break;
            }
        }
        let mut position = self.offset;
        // The rack of the first replica is passed over once; a whole round without a broker cannot happen, since
        // there are as many brokers as replicas.
        let mut idle = 0;
        while brokers.len() < replicas && idle <= count {
            if first_rack == Some(position) {
                first_rack = None;
            } else if let Some(id) = self.rack(position).and_then(|rack| rack.next(epoch)) {
                brokers.push(id);
                idle = 0;
            } else {
                idle += 1;
            }
            position = (position + 1) % count;
        }
        self.epoch += 1;
        self.offset += 1;
        brokers
    }

    /// The rack at a position of the order.
    fn rack(&mut self, position: usize) -> Option<&mut Rack> {
        self.racks.get_mut(*self.order.get(position)?)
    }

    fn shuffle(&mut self) {
        shuffle(self.random, &mut self.order);
        for rack in &mut self.racks {
            shuffle(self.random, &mut rack.fenced.ids);
            shuffle(self.random, &mut rack.unfenced.ids);
        }
    }
}
