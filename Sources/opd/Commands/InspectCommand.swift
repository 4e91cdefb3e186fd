import ArgumentParser
import Configuration
import Foundation
import JSON
import Models
import RunFiles
import Telemetry
import Tokenizers

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Say what a model, a checkpoint or a run folder holds.")

    @Argument(help: "A model folder or GGUF file, a checkpoint, or a run folder.")
    var path: String

    func run() throws {
        let (facts, damage) = try facts()
        for line in RunReport.aligned(facts) { try StandardOutput.shared.writeLine(line) }
        if let damage { throw CommandError(message: "\(path) is damaged: \(damage)") }
    }

    private func facts() throws -> (facts: [(label: String, text: String)], damage: String?) {
        let files = FileManager.default
        let run = RunFolder(path)
        if files.fileExists(atPath: run.configuration) { return (RunReport.facts(of: run), nil) }
        let model = "\(path)/model"
        let state = "\(path)/state.json"
        let isWhole = files.fileExists(atPath: state) && files.fileExists(atPath: model)
        if isWhole || files.fileExists(atPath: "\(path)/\(Checkpoint.manifestName)") {
            let step = try? JSONValue.parse(Array(Data(contentsOf: URL(fileURLWithPath: state))))["step"]
            var facts = [(label: "checkpoint", text: path)]
            if case .integer(let step)? = step { facts.append(("step", String(step))) }
            if let flaw = Checkpoint(step: 0, path: path).flaw() { return (facts + [("intact", "no: \(flaw)")], flaw) }
            return (facts + [("intact", "yes")] + ModelSummary(try ModelFiles.open(model)).lines, nil)
        }
        return (ModelSummary(try ModelFiles.open(path)).lines, nil)
    }
}

/// What a run folder holds, for `opd inspect`.
enum RunReport {
    static func facts(of run: RunFolder) -> [(label: String, text: String)] {
        var facts = [(label: "run", text: run.path)]
        if let loaded = try? RunConfiguration.load(run.configuration, requiring: []) {
            let configuration = loaded.configuration
            facts.append(
                ("student", configuration.student.model.isEmpty ? "made from scratch" : configuration.student.model))
            for (label, teacher) in configuration.usedTeachers.sorted(by: { $0.key < $1.key }) {
                facts.append(("teacher", "\(teacher.model) (\(label))"))
            }
            facts.append(("steps", "\(lastNumber("step", in: run) ?? "0") of \(configuration.training.steps)"))
        }
        if let kl = lastNumber("teacher_kl", in: run) { facts.append(("training KL", kl)) }
        for (label, name) in [
            ("held-out KL", "eval_teacher_kl"), ("held-out loss", "eval_cross_entropy"),
            ("held-out right", "eval_pass_at_1"),
        ] {
            let evaluations = values(name, in: run)
            guard let first = evaluations.first, let last = evaluations.last else { continue }
            let both = "\(first.value) at step \(first.step), \(last.value) at step \(last.step)"
            facts.append((label, first.step == last.step ? first.value : both))
        }
        let checkpoints = CheckpointStore(folder: run.checkpoints)
        facts.append(("checkpoints", checkpoints.list().map { String($0.step) }.joined(separator: ", ")))
        if let latest = checkpoints.latest() { facts.append(("model", "\(latest.path)/model")) }
        return facts
    }

    /// `label:   text` with the texts below each other.
    static func aligned(_ facts: [(label: String, text: String)]) -> [String] {
        let width = facts.map(\.label.count).max() ?? 0
        // What a model's files say must not steer the terminal.
        return facts.map {
            "\($0.label):\(String(repeating: " ", count: width - $0.label.count + 2))\(RunLogHandler.oneLine($0.text))"
        }
    }

    private static func values(_ name: String, in run: RunFolder) -> [(step: String, value: String)] {
        guard let text = try? String(contentsOfFile: run.metrics, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").compactMap { line in
            guard let value = try? JSONValue.parse(String(line)), let step = value["step"]?.text(),
                let number = value[name], number != .null
            else { return nil }
            // Whole numbers as they are, others as people read them.
            if case .number(let value) = number { return (step, ProgressLine.fixed(value, 4)) }
            return (step, number.text())
        }
    }

    private static func lastNumber(_ name: String, in run: RunFolder) -> String? { values(name, in: run).last?.value }
}
