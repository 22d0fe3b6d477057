//! One JSON object a frame, with Wireshark's names.

use serde_json::{Map, Value as Json, json};

use super::hidden;
use crate::field::{Decoded, Field, Layer, Secrecy, Value};

/// A frame as an object: `frame`, `time` (microseconds since 1970), `src`, `dst`, `layers`, `problems`, `payload`.
pub fn frame(number: usize, time: Option<u64>, decoded: &Decoded, shown: Secrecy) -> Json {
    json!({
        "frame": number,
        "time": time,
        "src": decoded.src.map(|end| end.to_string()),
        "dst": decoded.dst.map(|end| end.to_string()),
        "layers": decoded.layers.iter().map(|layer| self::layer(layer, shown)).collect::<Vec<_>>(),
        "payload": decoded.payload,
        "problems": decoded.problems,
    })
}

/// A layer as an object: `name`, `fields`, `problems`.
pub fn layer(layer: &Layer, shown: Secrecy) -> Json {
    let problems: Vec<Json> = layer.problems.iter().map(|p| json!({ "offset": p.at, "text": p.text })).collect();
    json!({ "name": layer.name, "fields": fields(&layer.fields, shown), "problems": problems })
}

fn fields(fields: &[Field], shown: Secrecy) -> Vec<Json> {
    fields.iter().map(|field| self::field(field, shown)).collect()
}

fn field(field: &Field, shown: Secrecy) -> Json {
    let mut object = Map::new();
    object.insert("name".into(), field.name.into());
    object.insert("offset".into(), field.at.into());
    if hidden(field, shown) {
        object.insert("length".into(), field.bytes.len().into());
        object.insert("hidden".into(), true.into());
        return Json::Object(object);
    }
    let bytes: String = field.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if !bytes.is_empty() {
        object.insert("bytes".into(), bytes.into());
    }
    let value: Option<Json> = match &field.value {
        Value::Number(number) => Some((*number).into()),
        Value::Text(text) => Some(text.as_str().into()),
        Value::Bytes => None,
    };
    object.extend(value.map(|value| ("value".into(), value)));
    if !field.text.is_empty() {
        object.insert("text".into(), field.text.as_str().into());
    }
    if !field.children.is_empty() {
        object.insert("fields".into(), fields(&field.children, shown).into());
    }
    Json::Object(object)
}
