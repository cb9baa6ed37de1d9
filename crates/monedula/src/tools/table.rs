//! Tables as Kafka's tools print them.

/// Columns as wide as their widest cell, each followed by a tab.
pub fn tabbed<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or(0);
            text.push_str(&format!("{cell:<width$}\t"));
        }
        text.push('\n');
    }
    text
}
