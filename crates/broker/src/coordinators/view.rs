//! What an owner's shard sees of the node, made anew only when something changed.

use std::sync::Arc;

use config::BrokerConfig;
use metadata::Image;

use super::Hosted;
use crate::node::Node;

pub(super) struct Current<S: Hosted> {
    config: Arc<BrokerConfig>,
    image: Arc<Image>,
    view: S::View,
}

impl<S: Hosted> Current<S> {
    pub fn new(node: &Node) -> Self {
        let config = arc_swap::Guard::into_inner(node.config());
        let image = arc_swap::Guard::into_inner(node.image());
        let view = S::view(&config, &image);
        Self { config, image, view }
    }

    /// As of now.
    pub fn refresh(&mut self, node: &Node) -> &S::View {
        let same =
            Arc::ptr_eq(&self.config, &node.config()) && Arc::ptr_eq(&self.image, &node.image());
        if !same {
            *self = Self::new(node);
        }
        &self.view
    }
}
