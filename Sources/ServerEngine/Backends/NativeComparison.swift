import Engines
import Files
import Logging
import Models
import Wire

/// The native engine's view of a model that a server has, where this process can hold the model too.
package enum NativeComparison {
    private static let logger = Logger(label: "server")

    /// Loads or computes something of a model with the native engine. A model that it does not run, or whose weights do
    /// not fit into free memory, is no reason to refuse a server: one line says that nothing is compared.
    /// - Parameters:
    ///   - key: of the server in the configuration.
    ///   - freeBytes: of memory; nil: not known.
    /// - Returns: nil when this process cannot hold the model.
    /// - Throws: what else is wrong with the model's files.
    package static func attempt<Value: Sendable>(
        _ model: ModelReference, for key: String, freeBytes: Int? = availableMemory(),
        _ work: @Sendable () async throws -> Value
    ) async throws -> Value? {
        do {
            let parameters = try ModelFiles.open(model.path).configuration.parameterCount
            let bytes = parameters * (model.type == .f32 ? 4 : 2)
            if let freeBytes, bytes > freeBytes {
                throw ModelError(
                    .unsupported,
                    "\(model.path): its weights take \(bytes >> 20) MiB, and \(freeBytes >> 20) MiB of memory are free")
            }
            return try await work()
        } catch let error as ModelError where error.code == .unsupported {
            logger.warning("\(key): the server is not compared with the native engine, which cannot hold it: \(error)")
            return nil
        }
    }

    /// The memory that can be had without swapping, as the kernel estimates it; nil where it does not tell.
    package static func availableMemory() -> Int? {
        guard let text = try? FileTree.read("/proc/meminfo"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes << 10
    }
}
