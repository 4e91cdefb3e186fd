import Files
import Foundation
import SystemPackage
import Testing

@Suite struct FileTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("opd-files-\(UUID())").path

    private func inFolder(_ body: (String) throws -> Void) throws {
        try FileTree.createFolder(folder)
        defer { try? FileTree.remove(folder) }
        try body(folder)
    }

    @Test func aFileOfTheLimitIsReadWhole() throws {
        try inFolder { folder in
            for count in [0, 1, 4094, 4095, 4096, 100_000] {
                let text = String(repeating: "x", count: count)
                try FileTree.write(text, to: "\(folder)/a")
                #expect(try FileTree.read("\(folder)/a", limit: count) == text)
                #expect(try FileTree.read("\(folder)/a", limit: 1 << 24) == text)
            }
        }
    }

    @Test func aLongerFileIsRefusedWithItsNameAndTheLimit() throws {
        try inFolder { folder in
            try FileTree.write("12345", to: "\(folder)/a")
            let error = #expect(throws: FileError.self) { try FileTree.read("\(folder)/a", limit: 4) }
            #expect(
                error?.description
                    == "\(folder)/a: cannot be read: more than the 4 bytes that such a file can have")
            #expect(error?.reason == .tooLong(limit: 4))
        }
    }

    /// A pipe gives what has been written so far: several short reads make up the whole.
    @Test func shortReadsAreContinued() async throws {
        try FileTree.createFolder(folder)
        defer { try? FileTree.remove(folder) }
        let pipe = "\(folder)/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let writer = Task.detached {
            let file = try OpenFile(pipe, .writeOnly)
            for _ in 0..<50 {
                try file.write(String(repeating: "y", count: 997))
                usleep(200)
            }
        }
        let file = try OpenFile(pipe, .readOnly)
        #expect(try file.readAll(limit: 1 << 20).count == 50 * 997)
        try await writer.value
    }

    /// The size that /proc tells is 0.
    @Test func aFileWithoutASizeIsReadToItsEnd() throws {
        #expect(try FileTree.read("/proc/self/maps", limit: 1 << 24).utf8.count > 4096)
    }

    @Test func whatIsNoFileIsRefused() throws {
        try inFolder { folder in
            #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
            for path in [folder, "\(folder)/pipe"] {
                let error = #expect(throws: FileError.self) { try FileTree.read(path) }
                #expect(error?.description == "\(path): not a file")
                #expect(throws: FileError.self) { try MappedFile(path) }
            }
        }
    }

    @Test func anAtomicFileAppearsWithItsCommit() throws {
        try inFolder { folder in
            do {
                var file = try AtomicFile("\(folder)/a")
                try [1, 2, 3].withUnsafeBytes { try file.append($0) }
                #expect(FileTree.kind("\(folder)/a") == .missing)
                try file.commit()
            }
            #expect(try FileTree.size("\(folder)/a") == 24)
            do { _ = try AtomicFile("\(folder)/b") }
            #expect(try FileTree.names(in: folder) == ["a"])
        }
    }

    @Test func aLinkIsNeitherWrittenThroughNorSummed() throws {
        try inFolder { folder in
            try FileTree.write("here", to: "\(folder)/a")
            try FileTree.link("\(folder)/link", to: "a")
            #expect(throws: FileError.self) {
                try FileTree.create("gone", at: "\(folder)/link", permissions: .ownerReadWrite)
            }
            #expect(throws: FileError.self) { try FileTree.checksum("\(folder)/link") }
            let sum = try FileTree.checksum("\(folder)/a")
            #expect(sum.size == 4 && sum.crc32 == Array("here".utf8).withUnsafeBytes { crc32($0) })
        }
    }

    @Test func aNewFileHasThePermissionsAsked() throws {
        try inFolder { folder in
            try FileTree.create("text", at: "\(folder)/a", permissions: .ownerReadWrite)
            #expect(try OpenFile.reading("\(folder)/a").status().st_mode & 0o7777 == 0o600)
            #expect(throws: FileError.self) {
                try FileTree.create("again", at: "\(folder)/a", permissions: .ownerReadWrite)
            }
        }
    }

    @Test func theEndOfAFileIsRead() throws {
        try inFolder { folder in
            try FileTree.write("0123456789", to: "\(folder)/a")
            #expect(try FileTree.end(of: "\(folder)/a", count: 4) == (Array("6789".utf8), false))
            #expect(try FileTree.end(of: "\(folder)/a", count: 40) == (Array("0123456789".utf8), true))
        }
    }

    @Test func linesAreReadOneByOneWithoutATornLast() throws {
        try inFolder { folder in
            let lines = (0..<3000).map { String(repeating: "z", count: $0 % 200) + "\($0)" }
            try FileTree.write(lines.joined(separator: "\n") + "\ntorn", to: "\(folder)/a")
            var reader = try LineReader("\(folder)/a", limit: 300)
            for (number, line) in lines.enumerated() {
                #expect(try reader.next() == Array(line.utf8))
                #expect(reader.lineNumber == number + 1)
            }
            #expect(try reader.next() == nil)
        }
    }

    @Test func aLineAboveTheLimitIsAnError() throws {
        try inFolder { folder in
            try FileTree.write("1234\n12345\n", to: "\(folder)/a")
            var reader = try LineReader("\(folder)/a", limit: 4)
            #expect(try reader.next() == Array("1234".utf8))
            do {
                _ = try reader.next()
                Issue.record("a line of 5 bytes was given")
            } catch {
                #expect("\(error)".hasPrefix("\(folder)/a:2: "))
            }
            try FileTree.write(String(repeating: "1", count: 1 << 20), to: "\(folder)/a")
            var other = try LineReader("\(folder)/a", limit: 1 << 17)
            do {
                _ = try other.next()
                Issue.record("a line without an end was given")
            } catch {}
        }
    }
}
