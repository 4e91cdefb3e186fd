import Configuration

extension Supervisor {
    /// The processes of a run on one machine: the learner, `pipeline.workers` rollout workers and
    /// `pipeline.scorers` scorers for each teacher, all of them this program.
    ///
    /// - Parameters:
    ///   - configuration: what the file says, with the overrides.
    ///   - configurationPath: the file, as the user gave it.
    ///   - overrides: `key=value` texts to be passed on.
    ///   - arguments: further options for every process, such as `--quiet`.
    ///   - learnerArguments: further options for the learner.
    public static func plan(
        for configuration: RunConfiguration, configurationPath: String, overrides: [String] = [], resume: Bool,
        runFolder: RunFolder, arguments: [String] = [], learnerArguments: [String] = [],
        executable: String = "/proc/self/exe"
    ) -> [ProcessSpec] {
        let common = overrides.flatMap { ["--set", $0] } + arguments
        func member(_ command: String, _ name: String, _ options: [String] = []) -> ProcessSpec {
            ProcessSpec(
                name: name, role: .member, executable: executable,
                arguments: [command, configurationPath, "--connect", ProcessSpec.endpointPlaceholder] + options
                    + ["--name", name] + common,
                logPath: runFolder.log(name))
        }
        var plan = [
            ProcessSpec(
                name: "learner", role: .learner, executable: executable,
                arguments: ["learner", configurationPath, "--bind", configuration.pipeline.endpoint]
                    + (resume ? ["--resume"] : []) + learnerArguments + common)
        ]
        for index in 0..<configuration.pipeline.workers { plan.append(member("rollout", "rollout-\(index)")) }
        for teacher in configuration.grading.keys.sorted() {
            for index in 0..<configuration.pipeline.scorers {
                plan.append(member("scorer", "scorer-\(teacher)-\(index)", ["--teacher", teacher]))
            }
        }
        return plan
    }
}
