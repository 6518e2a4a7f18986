//! `ges simulate-ors` as its users run it: a child process with a folder of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;

use super::redis::Redis;
use super::service::{Folder, Options, command};

/// A started stand-in for Orchestration.
pub(crate) struct StandIn {
    folder: Folder,
    options: Options,
    arguments: Vec<String>,
    starts: u32,
    child: Child,
}

impl StandIn {
    /// Starts one that reads the stream of `redis`.
    pub(crate) fn start(redis: &Redis, speed: u32, agents: u32) -> Self {
        Self::start_with(redis, speed, agents, &[])
    }

    /// Starts one with further arguments.
    pub(crate) fn start_with(redis: &Redis, speed: u32, agents: u32, more: &[&str]) -> Self {
        let folder = Folder::new();
        let (url, speed, agents) = (redis.url(), speed.to_string(), agents.to_string());
        let arguments = ["simulate-ors", "--redis", &url, "--speed", &speed, "--agents", &agents];
        let arguments: Vec<String> = arguments.iter().chain(more).map(|it| (*it).to_owned()).collect();
        let options = Options::default();
        let child = spawn(&folder, &options, &arguments, 1);
        Self { folder, options, arguments, starts: 1, child }
    }

    /// Starts one that takes sessions over HTTP at a port.
    pub(crate) fn listen(port: u16, speed: u32, agents: u32) -> Self {
        Self::listen_with(port, speed, agents, Options::default())
    }

    /// Starts one that takes sessions over HTTP at a port, with settings of the service.
    pub(crate) fn listen_with(port: u16, speed: u32, agents: u32, options: Options) -> Self {
        let folder = Folder::new();
        let (address, speed, agents) = (format!("127.0.0.1:{port}"), speed.to_string(), agents.to_string());
        let arguments = ["simulate-ors", "--listen", &address, "--speed", &speed, "--agents", &agents];
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let child = spawn(&folder, &options, &arguments, 1);
        Self { folder, options, arguments, starts: 1, child }
    }

    /// Where its journal is.
    pub(crate) fn journal_folder(&self) -> PathBuf {
        self.folder.data().join("simulate-ors")
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it kept.
    pub(crate) fn respawn(&mut self) {
        self.starts += 1;
        self.child = spawn(&self.folder, &self.options, &self.arguments, self.starts);
    }

    /// What all runs wrote, to both outputs.
    pub(crate) fn everything_written(&self) -> String {
        let files = (1..=self.starts).map(|run| self.folder.beside(&format!("stand-in.{run}")));
        files.map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned()).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(folder: &Folder, options: &Options, arguments: &[String], run: u32) -> Child {
    let log = File::create(folder.beside(&format!("stand-in.{run}"))).unwrap();
    command(folder, options).args(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
