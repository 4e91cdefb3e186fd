import Engines
import Files
import Foundation

/// The folder of one engine: its socket, and weights that have no file of their own.
package enum TorchFolder {
    /// The longest path that a socket can have (`sun_path` of unix(7)).
    private static let longestSocketPath = 107
    private static let socketName = "engine"

    /// Makes a folder of this user alone.
    /// - Parameter parent: where; `TMPDIR` says it.
    /// - Throws: ``EngineRefusal`` where there is no room for a path, or none can be made.
    package static func make(in parent: String = NSTemporaryDirectory()) throws(EngineRefusal) -> String {
        var template = Array(parent.appendingPath("opd-torch-XXXXXX").utf8CString)
        guard template.count + socketName.utf8.count <= longestSocketPath else {
            throw EngineRefusal(
                .engine,
                "TMPDIR: \(parent) is too long: the path of the torch engine's socket would have more than "
                    + "\(longestSocketPath) bytes; set it to a shorter one")
        }
        guard mkdtemp(&template) != nil else {
            throw EngineRefusal(.engine, "TMPDIR: no folder can be made in \(parent): \(systemMessage())")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func endpoint(in folder: String) -> String { "ipc://\(folder)/\(socketName)" }
}
