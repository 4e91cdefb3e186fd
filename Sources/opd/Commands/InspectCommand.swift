import ArgumentParser
import Foundation
import JSON
import Models
import RunFiles
import Telemetry
import Tokenizers
import Watch

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Say what a model, a checkpoint or a run folder holds.")

    @Argument(help: "A model folder or GGUF file, a checkpoint, or a run folder.")
    var path: String

    func run() throws {
        let (facts, damage) = try facts()
        for line in FactLines.aligned(facts) { try StandardOutput.shared.writeLine(line) }
        if let damage { throw CommandError(message: "\(path) is damaged: \(damage)") }
    }

    private func facts() throws -> (facts: [(label: String, text: String)], damage: String?) {
        let files = FileManager.default
        let run = RunFolder(path)
        if files.fileExists(atPath: run.configuration) { return (RunDigest.facts(of: run), nil) }
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

/// Facts as lines for a person.
enum FactLines {
    /// `label:   text` with the texts below each other.
    static func aligned(_ facts: [(label: String, text: String)]) -> [String] {
        let width = facts.map(\.label.count).max() ?? 0
        // What a model's files say must not steer the terminal.
        return facts.map {
            "\($0.label):\(String(repeating: " ", count: width - $0.label.count + 2))\(RunLogHandler.oneLine($0.text))"
        }
    }
}
