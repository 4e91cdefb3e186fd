import Configuration
import Distillation
import Engines
import Foundation
import Logging
import RunFiles
import Telemetry
import Tokenizers
import Transport

/// A dry run: all that a start checks and loads, and a little work of every kind, by which memory and time are estimated.
///
/// It happens in one process and in a temporary folder, which is gone when it ends.
package enum Rehearsal {
    /// - Parameter start: fresh, or from a checkpoint of another run.
    /// - Throws: whatever would end a run at its start.
    package static func run(
        _ configuration: RunConfiguration, start: LearnerProcess.Start, engines: EngineChoice = .standard,
        progress: RunProgress, logger: Logger
    ) async throws -> RehearsalReport {
        try TrackerProcess.check(configuration.telemetry)
        var given = configuration
        given.telemetry.startsNothing()
        if given.kind.sampler != .nobody { try await checkEndpoint(given, logger) }
        try await ServerStart.wait(for: given, engines: engines)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("opd-dry-run-\(UUID())").path
        let folder = try RunFolder.open(path, resume: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let start = try await start.fetched(into: folder, progress: progress, logger: logger)
        _ = try await RunCopies.open(
            given, for: folder, start: start, isRehearsal: true, progress: progress, logger: logger)
        var memory = ProcessMemory()
        let studentPath =
            given.shape.layers > 0
            ? try await SupervisedProcess.makeStudent(given, engines, in: folder, logger: logger) : nil
        let setup = try await RunSetup(
            given.dated(start, in: folder), studentPath: studentPath, engines: engines, folder: folder, start: start,
            resumeCommand: "",
            timeLimit: nil, startedAt: .now, progress: progress, logger: logger)
        try await setup.tryEnvironment()
        return try await report(setup, &memory)
    }

    /// The learner's endpoint, as far as it can be told without members.
    private static func checkEndpoint(_ configuration: RunConfiguration, _ logger: Logger) async throws {
        let endpoint = configuration.pipeline.endpoint
        let keys = try configuration.learnerKeys()
        try EndpointPolicy.check(
            endpoint, allowPlaintext: configuration.pipeline.allowPlaintext, isEncrypted: keys != nil)
        await (try ZeroMQTransport.learner(bind: endpoint, keys: keys, logger: logger)).close()
    }

    private static func report(_ setup: RunSetup, _ memory: inout ProcessMemory) async throws -> RehearsalReport {
        let configuration = setup.configuration, data = setup.data, pipeline = configuration.pipeline
        var source = data.examples
        let examples = try source?.batch(step: 0) ?? []
        let load = StepLoad(configuration, data, examples: examples)
        let evaluator = configuration.kind.evaluator == .learner ? try await setup.evaluator() : nil
        defer { withExtendedLifetime(evaluator) {} }
        setup.progress.activity("training a little")
        let training = try await setup.trainingSeconds(load, isSupervised: !examples.isEmpty)
        let isElsewhere = configuration.student.engine != .native
        var processes = [
            RehearsalReport.Process(name: "learner", count: 1, bytes: isElsewhere ? nil : memory.take())
        ]
        var stages: [RehearsalReport.Stage] = []
        if configuration.kind.sampler != .nobody {
            setup.progress.activity("sampling a little")
            let sampling = try await setup.sampling(load, &memory)
            processes += sampling.processes
            stages.append(
                .init(name: "sampling", seconds: sampling.seconds, remark: counted(pipeline.workers, "worker")))
        }
        if configuration.kind.grader == .teachers {
            setup.progress.activity("grading a little")
            let grading = try await setup.grading(load, &memory)
            processes += grading.processes
            stages.append(
                .init(name: "grading", seconds: grading.seconds, remark: counted(pipeline.scorers, "scorer")))
        }
        stages.append(.init(name: "training", seconds: training))
        let prompt = examples.first?.promptIDs ?? data.prompts.first?.ids ?? []
        var decoder = IncrementalDecoder(data.tokenizer)
        return RehearsalReport(
            name: configuration.name, promptText: data.tokenizer.decode(prompt),
            tokens: prompt.map { ($0, decoder.append($0)) }, teacherPrompts: teacherPrompts(data),
            ends: ends(configuration, data),
            counts: counts(data, examples), followers: followers(configuration), processes: processes,
            machineBytes: ProcessMemory.ofMachine,
            step: description(configuration), stages: stages, steps: configuration.training.steps,
            isSynchronous: configuration.kind.sampler == .nobody
                || (configuration.kind.sampler == .student && pipeline.maxStaleness == 0))
    }

    // MARK: Words

    /// What the teachers of the first prompt are shown in its place; none: the same.
    private static func teacherPrompts(_ data: PreparedData) -> [(label: String, text: String, tokenCount: Int)] {
        guard let prompt = data.prompts.first else { return [] }
        let sampler = prompt.sampler.map { PromptTeacher(label: $0, share: 1, view: prompt.teacherView) }
        return (prompt.graders + [sampler].compactMap(\.self)).compactMap { teacher in
            let tokenizer = data.retokenized[teacher.label]?.tokenizer ?? data.tokenizer
            return teacher.view.map { (teacher.label, tokenizer.decode($0.ids), $0.ids.count) }
        }
    }

    private static func counted(_ count: Int, _ name: String) -> String {
        count == 1 ? "" : ", by \(count) \(name)s"
    }

    private static func description(_ configuration: RunConfiguration) -> String {
        let data = configuration.data
        guard configuration.kind.sampler != .nobody else { return "\(data.promptsPerStep) examples" }
        return "\(data.promptsPerStep) prompts with \(data.samplesPerPrompt) responses of "
            + "\(configuration.sampling.maxTokens) tokens each"
    }

    private static func ends(_ configuration: RunConfiguration, _ data: PreparedData) -> String {
        let sampling = configuration.sampling
        var ends = (sampling.ignoreEOS ? [] : data.stopTokenIDs).map { "\($0) '\(data.tokenizer.decode([$0]))'" }
        ends += sampling.stop.map { ConfigurationValue.text($0).description }
        return (ends.isEmpty ? "nothing ends a response" : "a response ends at " + ends.joined(separator: ", at "))
            + (ends.isEmpty ? " but its length, " : ", or at its length, ") + "\(sampling.maxTokens) tokens"
    }

    private static func followers(_ configuration: RunConfiguration) -> [String] {
        configuration.refreshes.sorted { $0.key < $1.key }.map { label, steps in
            let when = steps == 1 ? "before every step" : "every \(steps) steps"
            guard let decay = configuration.averages[label] else {
                return "teacher '\(label)' takes the student's weights \(when)"
            }
            return
                "teacher '\(label)' is a moving average of the student's weights, of which a step keeps \(decay), as "
                + "it is \(when)"
        }
    }

    private static func counts(_ data: PreparedData, _ examples: [SupervisedExample]) -> String {
        let heldout = data.heldout.isEmpty ? "no held-out prompts" : "\(data.heldout.count) held-out prompts"
        guard examples.isEmpty else { return heldout }
        let longest = data.prompts.map(\.ids.count).max() ?? 0
        return "\(data.prompts.count) prompts, the longest with \(longest) tokens, and \(heldout)"
    }
}
