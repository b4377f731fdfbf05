//! A golden file, and its hyperparameters on their way to a rule's settings.

use std::fs;
use std::path::Path;

use gradus::rules::Value;
use serde_json::{Map, Value as Json};

use super::wrappers::Wrappers;

/// What one file says; `README.md` beside the files describes it.
pub struct File {
    pub name: String,
    fields: Map<String, Json>,
}

impl File {
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let json = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
        Self::new(&name, json)
    }

    pub fn new(name: &str, json: Json) -> Result<Self, String> {
        match json {
            Json::Object(fields) => Ok(Self { name: name.to_owned(), fields }),
            _ => Err(format!("{name}: not an object")),
        }
    }

    pub fn method(&self) -> &str {
        self.fields.get("method").and_then(Json::as_str).unwrap_or_default()
    }

    /// Whether the numbers come from a formula and not from an implementation that others use.
    pub fn formula_only(&self) -> bool {
        self.fields.get("formula_only") == Some(&Json::Bool(true))
    }

    /// The number of elements of the tensor.
    pub fn length(&self) -> Result<usize, String> {
        if self.field("dtype")? != "f64" {
            return Err("its dtype is not f64".to_owned());
        }
        Ok(self.array("shape")?.iter().product::<f64>() as usize)
    }

    pub fn hyper(&self) -> Result<Hyper, String> {
        match self.field("hyper")? {
            Json::Object(hyper) => {
                Ok(Hyper { left: hyper.clone(), settings: Vec::new(), wrappers: Wrappers::default() })
            }
            _ => Err("hyper is not an object".to_owned()),
        }
    }

    /// All numbers of a field, row by row.
    pub fn array(&self, key: &str) -> Result<Vec<f64>, String> {
        flatten(self.field(key)?).ok_or_else(|| format!("{key} does not hold numbers only"))
    }

    /// The numbers of each step.
    pub fn arrays(&self, key: &str) -> Result<Vec<Vec<f64>>, String> {
        let rows = self.field(key)?.as_array().ok_or_else(|| format!("{key} is not a list"))?;
        let row = |row| flatten(row).ok_or_else(|| format!("{key} does not hold numbers only"));
        rows.iter().map(row).collect()
    }

    /// A state array after the last step, where the file has it.
    pub fn state(&self, key: &str) -> Result<Option<Vec<f64>>, String> {
        match self.fields.get("state").and_then(|state| state.get(key)) {
            None | Some(Json::Null) => Ok(None),
            Some(array) => flatten(array).map(Some).ok_or_else(|| format!("state.{key} does not hold numbers only")),
        }
    }

    /// What a state array is after each step, where the file has it; `None` in a step stands for null.
    pub fn state_by_step(&self, key: &str) -> Result<Option<Vec<Option<Vec<f64>>>>, String> {
        let Some(array) = self.fields.get("state").and_then(|state| state.get(key)) else { return Ok(None) };
        let steps = array.as_array().ok_or_else(|| format!("state.{key} is not a list"))?;
        let step = |step: &Json| match step {
            Json::Null => Ok(None),
            array => flatten(array).map(Some).ok_or_else(|| format!("state.{key} does not hold numbers only")),
        };
        steps.iter().map(step).collect::<Result<_, _>>().map(Some)
    }

    /// What each of the steps is given beside its gradient, where the file has such a field.
    pub fn extras(&self, steps: usize) -> Result<Vec<Option<Vec<f64>>>, String> {
        let has = |key: &&str| self.fields.contains_key(*key);
        match ["grads_prev_point", "hess_grads", "noise"].into_iter().filter(has).collect::<Vec<_>>()[..] {
            [] => Ok(vec![None; steps]),
            [key] if self.field(key)?.is_object() => self.sparse(key, steps),
            [key] => {
                let extras = self.arrays(key)?;
                if extras.len() != steps {
                    return Err(format!("there are {} of {key} and {steps} gradients", extras.len()));
                }
                Ok(extras.into_iter().map(Some).collect())
            }
            ref keys => Err(format!("a step takes one of {}", keys.join(", "))),
        }
    }

    /// A field that has numbers for some steps, counted from 0.
    fn sparse(&self, key: &str, steps: usize) -> Result<Vec<Option<Vec<f64>>>, String> {
        let mut sparse = vec![None; steps];
        for (step, numbers) in self.field(key)?.as_object().into_iter().flatten() {
            let place = step.parse().ok().and_then(|step: usize| sparse.get_mut(step));
            let place = place.ok_or_else(|| format!("{key} has '{step}', which is none of {steps} steps"))?;
            *place = Some(flatten(numbers).ok_or_else(|| format!("{key} does not hold numbers only"))?);
        }
        Ok(sparse)
    }

    fn field(&self, key: &str) -> Result<&Json, String> {
        self.fields.get(key).ok_or_else(|| format!("there is no field {key}"))
    }
}

fn flatten(json: &Json) -> Option<Vec<f64>> {
    match json {
        Json::Array(items) => Some(items.iter().map(flatten).collect::<Option<Vec<_>>>()?.concat()),
        Json::Number(number) => Some(vec![number.as_f64()?]),
        Json::String(infinity) => Some(vec![infinity.parse().ok()?]),
        _ => None,
    }
}

/// Settings of a rule, by name.
type Settings = Vec<(&'static str, Value)>;

/// The hyperparameters of a file that nothing has read yet, and the settings made of those that something has.
///
/// One that is absent or null leaves the rule's default, which is the reference's.
pub struct Hyper {
    left: Map<String, Json>,
    settings: Settings,
    /// What surrounds the rule.
    pub wrappers: Wrappers,
}

impl Hyper {
    /// Hyperparameters that the rule has as settings of the same names.
    pub fn same(mut self, keys: &[&'static str]) -> Result<Self, String> {
        for key in keys {
            let value = self.take(key).map(|json| value(key, &json)).transpose()?;
            self.settings.extend(value.map(|value| (*key, value)));
        }
        Ok(self)
    }

    /// A hyperparameter that the rule has as a setting of another name.
    pub fn renamed(mut self, key: &'static str, setting: &'static str) -> Result<Self, String> {
        let value = self.take(key).map(|json| value(key, &json)).transpose()?;
        self.settings.extend(value.map(|value| (setting, value)));
        Ok(self)
    }

    /// Whether there is a hyperparameter of this name that nothing has read.
    pub fn has(&self, key: &str) -> bool {
        self.left.get(key).is_some_and(|json| !json.is_null())
    }

    /// A setting that no hyperparameter stands for.
    pub fn set(mut self, setting: &'static str, value: impl Into<Value>) -> Result<Self, String> {
        self.settings.push((setting, value.into()));
        Ok(self)
    }

    /// A list of numbers, such as `betas`: a setting each.
    pub fn list(mut self, key: &str, settings: &[&'static str]) -> Result<Self, String> {
        let Some(json) = self.take(key) else { return Ok(self) };
        match json.as_array() {
            Some(items) if items.len() == settings.len() => {
                for (setting, item) in settings.iter().zip(items) {
                    self.settings.push((setting, value(key, item)?));
                }
                Ok(self)
            }
            _ => Err(format!("{key} = {json} is not a list of {}", settings.len())),
        }
    }

    /// A switch that chooses between two values of a setting: for `false`, and for `true`.
    pub fn choice<V: Into<Value>>(mut self, key: &str, setting: &'static str, values: [V; 2]) -> Result<Self, String> {
        let [off, on] = values.map(V::into);
        let chosen = self.switch(key)?.map(|chosen| (setting, if chosen { on } else { off }));
        self.settings.extend(chosen);
        Ok(self)
    }

    /// A switch that no setting of the rule stands for.
    pub fn switch(&mut self, key: &str) -> Result<Option<bool>, String> {
        let Some(json) = self.take(key) else { return Ok(None) };
        json.as_bool().map(Some).ok_or_else(|| format!("{key} = {json} is not true or false"))
    }

    /// A number that no setting of the rule stands for.
    pub fn number(&mut self, key: &str) -> Result<Option<f64>, String> {
        let Some(json) = self.take(key) else { return Ok(None) };
        json.as_f64().map(Some).ok_or_else(|| format!("{key} = {json} is not a number"))
    }

    /// A whole number that no setting of the rule stands for.
    pub fn count(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(json) = self.take(key) else { return Ok(None) };
        json.as_u64().map(Some).ok_or_else(|| format!("{key} = {json} is not a whole number"))
    }

    /// A name that no setting of the rule stands for.
    pub fn name(&mut self, key: &str) -> Result<Option<String>, String> {
        let Some(json) = self.take(key) else { return Ok(None) };
        json.as_str().map(|name| Some(name.to_owned())).ok_or_else(|| format!("{key} = {json} is not a name"))
    }

    /// The rule's settings and what surrounds it. Errors: hyperparameters that nothing has read.
    pub fn finish(self) -> Result<(Settings, Wrappers), String> {
        if self.left.is_empty() {
            return Ok((self.settings, self.wrappers));
        }
        let unread: Vec<&str> = self.left.keys().map(String::as_str).collect();
        Err(format!("nothing reads the hyperparameters {}", unread.join(", ")))
    }

    fn take(&mut self, key: &str) -> Option<Json> {
        self.left.remove(key).filter(|json| !json.is_null())
    }
}

fn value(key: &str, json: &Json) -> Result<Value, String> {
    match json {
        Json::Bool(flag) => Ok((*flag).into()),
        Json::String(name) => Ok(Value::parse(name)),
        Json::Number(number) => number.as_f64().map(Value::from).ok_or_else(|| format!("{key} = {json} is no f64")),
        _ => Err(format!("{key} = {json} is no setting")),
    }
}
