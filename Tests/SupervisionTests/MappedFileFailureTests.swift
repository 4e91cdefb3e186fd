import Files
import Foundation
import Models
import Supervision
import Testing

@Suite struct MappedFileFailureTests {
    @Test func aMappedFileThatIsCutShortEndsTheProcessWithOneLine() async throws {
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
            MappedFileFailure.endWithOneLine()
            let path = NSTemporaryDirectory() + "opd-cut-\(getpid())\n.safetensors"
            try Data(count: 1 << 20).write(to: URL(filePath: path))
            let file = try MappedFile(path)
            try #require(file.bytes[1 << 19] == 0)
            truncate(path, 4096)
            unlink(path)
            exit(file.bytes[1 << 19] == 0 ? 0 : 3)
        }
        let lines = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self).split(separator: "\n")
        let errors = lines.filter { $0.hasPrefix("error: ") }
        #expect(errors.count == 1 && errors[0].contains("/opd-cut-"), "\(lines)")
        #expect(errors.first?.contains("it has become shorter, or its disk has failed, while it was read") == true)
    }
}
