//! The checks of images. A damaged weight makes a wrong answer, and a damaged node a wrong move, so a model is
//! run only once every byte of its image has been hashed. That takes a second per gigabyte, and is done beside
//! the player: it follows the chain meanwhile.
//!
//! An image that was checked at an earlier start, and whose file is still the same, may run at once. It is
//! checked again all the same, since a disk can lose bits without a trace.

use crate::health::Health;
use crate::model::LoadedModel;
use crate::player::PlayerError;
use chain::{Store, StoreError};
use contracts::B256;
use image::{ImageError, Stamp};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two lines of the log on how far the checks are.
const REPORTED_EVERY: Duration = Duration::from_secs(10);

/// The check of one image.
struct Check {
    model: Arc<LoadedModel>,
    /// Whether its file was found sound at an earlier start, and is still the same.
    trusted: bool,
    /// The bytes of memory that have been hashed.
    done: AtomicU64,
    /// The result: the stamp of the file, if it was the same all the time.
    verdict: OnceLock<Result<Option<Stamp>, ImageError>>,
}

impl Check {
    fn run(&self) {
        let image = &self.model.image;
        let before = image.stamp().ok();
        let verdict = image.verify(|bytes| self.done.store(bytes, Ordering::Relaxed));
        let same = || before.filter(|before| image.stamp().is_ok_and(|after| after == *before));
        // Nobody else sets it.
        let _ = self.verdict.set(verdict.map(|()| same()));
    }

    fn left(&self) -> u64 {
        self.model.image.stored().saturating_sub(self.done.load(Ordering::Relaxed))
    }
}

/// The checks that are not over.
pub(crate) struct Checks {
    store: Arc<Store>,
    running: HashMap<B256, Arc<Check>>,
    /// What the store has still to be told: the stamps of sound images, and none for damaged ones.
    unwritten: Vec<(B256, Option<Stamp>)>,
    reported: Instant,
    /// Who is told of damaged images.
    health: Arc<Health>,
}

impl Checks {
    /// Starts to check the images that this process hasn't verified yet, one after the other.
    pub(crate) fn start(
        store: Arc<Store>,
        models: &HashMap<B256, Arc<LoadedModel>>,
        health: Arc<Health>,
    ) -> Result<Self, PlayerError> {
        let new = Self::new(store, models, health)?;
        let waiting: Vec<Arc<Check>> = new.running.values().cloned().collect();
        // Nobody waits for this thread: a player that is stopped need not finish its checks.
        let run = move || waiting.iter().for_each(|check| check.run());
        thread::Builder::new().name("check".to_owned()).spawn(run).map_err(PlayerError::Thread)?;
        Ok(new)
    }

    fn new(
        store: Arc<Store>,
        models: &HashMap<B256, Arc<LoadedModel>>,
        health: Arc<Health>,
    ) -> Result<Self, StoreError> {
        let mut running = HashMap::new();
        for (&id, model) in models.iter().filter(|(_, model)| !model.image.is_verified()) {
            let known = store.load::<Stamp>(&entry(id))?;
            let trusted = known.is_some_and(|known| model.image.stamp().is_ok_and(|now| now == known));
            let (name, bytes) = (&model.name, model.image.stored());
            let meanwhile = match trusted {
                true => "it is used meanwhile, since its file is the one that was checked before",
                false => "until that is done, nothing is computed about the model",
            };
            tracing::info!(model = name, bytes, "checking the image; {meanwhile}");
            let (model, done, verdict) = (Arc::clone(model), AtomicU64::new(0), OnceLock::new());
            running.insert(id, Arc::new(Check { model, trusted, done, verdict }));
        }
        Ok(Self { store, running, unwritten: Vec::new(), reported: Instant::now(), health })
    }

    /// Whether a model may run.
    pub(crate) fn admit(&self, id: B256) -> bool {
        self.running.get(&id).is_none_or(|check| check.trusted)
    }

    /// Takes the results of the checks that are over, and reports on the others. A model whose image is damaged
    /// is removed, and thereby unknown to the player from now on.
    pub(crate) fn follow(&mut self, models: &mut HashMap<B256, Arc<LoadedModel>>) -> Result<(), StoreError> {
        let over = self.running.extract_if(|_, check| check.verdict.get().is_some());
        for (id, check) in over.collect::<Vec<_>>() {
            let model = &check.model.name;
            match check.verdict.get() {
                Some(Err(error)) => {
                    tracing::error!(model, %error, "the image can't be used: the model is given up");
                    if check.trusted {
                        tracing::error!(model, "what was answered about it since the start may be wrong");
                    }
                    metrics::counter!("opml_damaged_images_total").increment(1);
                    self.health.check(model, Some(error.to_string()));
                    models.remove(&id);
                    self.unwritten.push((id, None));
                }
                Some(Ok(stamp)) => {
                    tracing::info!(model, "every byte of the image is right");
                    self.unwritten.push((id, *stamp));
                }
                None => {}
            }
        }
        let left: u64 = self.running.values().map(|check| check.left()).sum();
        metrics::gauge!("opml_unchecked_bytes").set(left as f64);
        if !self.running.is_empty() && self.reported.elapsed() >= REPORTED_EVERY {
            self.reported = Instant::now();
            tracing::info!(bytes = left, images = self.running.len(), "still to be checked");
        }
        while let Some((id, stamp)) = self.unwritten.last() {
            match stamp {
                Some(stamp) => self.store.save(&entry(*id), stamp)?,
                None => self.store.write(&[(entry(*id), None)])?,
            }
            self.unwritten.pop();
        }
        Ok(())
    }
}

/// The name under which the store has the stamp of a model's file.
fn entry(id: B256) -> String {
    format!("checked/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use image::Image;
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};

    struct Setting {
        _folder: tempfile::TempDir,
        path: PathBuf,
        store: Arc<Store>,
    }

    impl Setting {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("net.opml");
            let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
            compiler::compile_to(&path, &model, &Options::default(), &|_| ()).expect("an image");
            Self { _folder: folder, path, store: Arc::new(Store::in_memory().expect("a store")) }
        }

        /// What a player knows when it has just started.
        fn start(&self) -> (B256, HashMap<B256, Arc<LoadedModel>>, Checks) {
            let image = Image::open(&self.path).expect("an image");
            let model = Arc::new(LoadedModel::new(image, None).expect("a model"));
            let models = HashMap::from([(model.id(), model)]);
            let health = Arc::new(Health::of_worker(600));
            let checks = Checks::new(Arc::clone(&self.store), &models, health).expect("a store");
            (*models.keys().next().expect("a model"), models, checks)
        }

        /// Whether the model was admitted at the start, whether it is after the check, and whether it is known.
        fn checked(&self) -> [bool; 3] {
            let (id, mut models, mut checks) = self.start();
            let at_start = checks.admit(id);
            checks.follow(&mut models).expect("a store");
            assert_eq!((checks.admit(id), checks.running.len()), (at_start, 1), "nothing has been checked");
            checks.running.values().for_each(|check| check.run());
            checks.follow(&mut models).expect("a store");
            [at_start, checks.admit(id), models.contains_key(&id)]
        }

        /// Changes a byte in the last but one page of memory, and hides it as well as a program can.
        fn damage(&self) {
            let file = fs::OpenOptions::new().read(true).write(true).open(&self.path).expect("the file");
            let data = file.metadata().expect("a file");
            let (mut byte, at) = ([0], data.len() / 2);
            file.read_exact_at(&mut byte, at).expect("a byte");
            // The clock of files takes some milliseconds to go on.
            thread::sleep(Duration::from_millis(20));
            file.write_all_at(&[byte[0] ^ 1], at).expect("a write");
            file.set_modified(data.modified().expect("a time")).expect("a time");
        }
    }

    #[test]
    fn a_model_waits_for_its_check_but_not_at_the_next_start() {
        let setting = Setting::new();
        assert_eq!(setting.checked(), [false, true, true]);
        assert_eq!(setting.checked(), [true, true, true]);
        // The same bytes in another file.
        let bytes = fs::read(&setting.path).expect("a file");
        fs::remove_file(&setting.path).expect("a file");
        fs::write(&setting.path, bytes).expect("room");
        assert_eq!(setting.checked(), [false, true, true]);
        assert_eq!(setting.checked(), [true, true, true]);
    }

    #[test]
    fn a_damaged_image_is_given_up() {
        let setting = Setting::new();
        assert_eq!(setting.checked(), [false, true, true]);
        setting.damage();
        for _ in 0..2 {
            assert_eq!(setting.checked(), [false, true, false]);
        }
        let (_, mut models, mut checks) = setting.start();
        assert_eq!(checks.health.report().status, "ok");
        checks.running.values().for_each(|check| check.run());
        checks.follow(&mut models).expect("a store");
        let reasons = checks.health.report().reasons;
        assert!(reasons.len() == 1 && reasons[0].starts_with("check: "), "{reasons:?}");
    }

    #[test]
    fn what_a_disk_has_lost_is_found_and_not_trusted_again() {
        let setting = Setting::new();
        let (id, ..) = setting.start();
        setting.damage();
        // As if the file had been sound when it got this stamp.
        let stamp = Image::open(&setting.path).expect("an image").stamp().expect("a stamp");
        setting.store.save(&entry(id), &stamp).expect("a store");
        assert_eq!(setting.checked(), [true, true, false]);
        assert_eq!(setting.checked(), [false, true, false]);
    }

    #[test]
    fn what_this_process_has_verified_needs_no_check() {
        let setting = Setting::new();
        let (id, models, _) = setting.start();
        models[&id].image.verify(|_| ()).expect("a sound image");
        let checks = Checks::new(Arc::clone(&setting.store), &models, Arc::default()).expect("a store");
        assert!(checks.running.is_empty() && checks.admit(id));
    }
}
