//! A plan as text.

use super::graph::Kind;
use super::plan::Plan;
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, sub) in self.subs.iter().enumerate() {
            writeln!(f, "sub-topology {index}")?;
            for &id in &sub.nodes {
                let node = &self.graph.nodes[id];
                write!(f, "  {id:>3}  {}", node.operator)?;
                if let Some(input) = sub.inputs.iter().find(|input| input.node == id) {
                    write!(f, " {}", input.topic)?;
                }
                match &node.kind {
                    Kind::Store { name } | Kind::Rekey { name } => write!(f, " \"{name}\"")?,
                    Kind::Sink { topic, .. } => write!(f, " {topic}")?,
                    _ => {}
                }
                if let Some(output) = sub.outputs.iter().find(|output| output.rekey == Some(id)) {
                    write!(f, " -> {}", output.topic)?;
                }
                let from: Vec<String> = (node.inputs.iter())
                    .map(|port| {
                        let other = if port.output == 1 { " (second output)" } else { "" };
                        format!("{}{other}", port.node)
                    })
                    .collect();
                if !from.is_empty() {
                    write!(f, "  from {}", from.join(", "))?;
                }
                if !node.reads.is_empty() {
                    let reads: Vec<String> = node.reads.iter().map(ToString::to_string).collect();
                    write!(f, "  reads the table of {}", reads.join(", "))?;
                }
                writeln!(f)?;
            }
            if let Some(changelog) = &sub.changelog {
                writeln!(f, "       commits to {changelog}")?;
            }
        }
        Ok(())
    }
}
