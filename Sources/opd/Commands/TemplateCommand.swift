import ArgumentParser
import Glibc
import JSON
import Models
import Templates
import Wording

struct TemplateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "template", abstract: "Render conversations with a chat template.",
        discussion: """
            Reads one JSON object a line: messages, and if wanted tools, add_generation_prompt (true unless given) and any \
            further variables. Writes one JSON string a line, or {"error": ...} for what the template refuses.
            """)

    @Argument(help: "A model folder, a GGUF file, or a file that holds a template (.jinja).")
    var model: String

    @Option(name: .customLong("set"), help: ArgumentHelp("A variable; JSON, or else a text.", valueName: "key=value"))
    var settings: [String] = []

    @Option(help: "What bos_token stands for.")
    var bos: String?

    @Option(help: "What eos_token stands for.")
    var eos: String?

    @Option(help: "Which template: auto, chatml, llama3, mistral, plain, or one of the model's by name.")
    var name = "auto"

    func run() throws {
        var template = try ModelFiles.openTemplates(model).template(named: name)
        template.date = TemplateDate(secondsSinceEpoch: time(nil))
        if let bos { template.variables["bos_token"] = .string(bos) }
        if let eos { template.variables["eos_token"] = .string(eos) }
        for setting in settings {
            guard let sign = setting.firstIndex(of: "="), sign > setting.startIndex else {
                throw CommandError.usage("--set takes key=value, not '\(setting)'")
            }
            let text = String(setting[setting.index(after: sign)...])
            template.variables[String(setting[..<sign])] = (try? JSONValue.parse(text)) ?? .string(text)
        }
        var input = StandardInput()
        while let line = try input.next() {
            if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { continue }
            try StandardOutput.shared.writeLine(Self.rendered(line, template))
            try StandardOutput.shared.flush()
        }
    }

    private static func rendered(_ line: [UInt8], _ template: ChatTemplate) -> String {
        do {
            guard let object = try JSONValue.parse(line).object else { return error("a JSON object should stand here") }
            return ascii(JSONText.string(try template.render(Conversation(object))))
        } catch {
            return Self.error("\(error)")
        }
    }

    private static func error(_ reason: String) -> String {
        ascii(JSONText.object([("error", JSONText.string(reason))]))
    }

    /// JSON without letters beyond ASCII: some of them end a line for those who read lines.
    private static func ascii(_ json: String) -> String {
        guard !json.utf8.allSatisfy({ $0 < 0x80 }) else { return json }
        var result = ""
        for unit in json.utf16 {
            if unit < 0x80 {
                result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            } else {
                result += "\\u" + unit.padded(to: 4, radix: 16)
            }
        }
        return result
    }
}
