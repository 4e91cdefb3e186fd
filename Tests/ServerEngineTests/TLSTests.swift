import Engines
import Foundation
import ServerEngine
import TestSupport
import Testing

/// A server behind TLS that the `openssl` command plays: it answers what lies in files, and its certificate, which it
/// has signed itself, names `localhost` alone.
private final class TLSServer: Sendable {
    let port: Int
    private let process: Process

    static let isPossible = run(["version"], in: "/")

    private static func run(_ arguments: [String], in folder: String) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Writes `NAME.key` and `NAME.pem`, valid for two days.
    static func makeCertificate(_ name: String, in folder: String) -> Bool {
        run(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-keyout", "\(name).key", "-out", "\(name).pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost",
            ], in: folder)
    }

    init(in folder: String, certificate: String) throws {
        process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "\(certificate).pem",
            "-key", "\(certificate).key", "-HTTP",
        ]
        process.currentDirectoryURL = URL(filePath: folder)
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var said = ""
        while !said.contains("ACCEPT") || !said.hasSuffix("\n") {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { break }
            said += String(decoding: data, as: UTF8.self)
        }
        let line = said.split(separator: "\n").first { $0.hasPrefix("ACCEPT") }
        port = try #require(line.flatMap { $0.split(separator: ":").last }.flatMap { Int($0) }, "\(said)")
    }

    func close() {
        // A child of a thread that blocks signals has them blocked too, all but this one.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

@Suite(.timeLimit(.minutes(5)), .enabled(if: TLSServer.isPossible, "the openssl command is missing"))
struct TLSTests {
    private let model: ByteModel

    init() throws {
        model = try ByteModel()
        for name in ["server", "other"] { #expect(TLSServer.makeCertificate(name, in: model.folder.path)) }
        let body = "{\"data\": [{\"id\": \"m\", \"parent\": null, \"max_model_len\": 100}]}"
        try FileManager.default.createDirectory(atPath: model.folder.path + "/v1", withIntermediateDirectories: true)
        try model.folder.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)",
            "v1/models")
    }

    /// What comes of asking for the model at a host, trusting an authority.
    private func described(_ host: String, authority: String?) async throws -> String {
        let server = try TLSServer(in: model.folder.path, certificate: "server")
        defer { server.close() }
        var reference = model.reference(["https://\(host):\(server.port)"])
        reference.server?.authorityFile = authority
        do {
            return try await ServerEngineFactory(native: NoEngine()).describe(reference).name
        } catch {
            return "\(error)"
        }
    }

    @Test func aServerIsTrustedByTheFileOfItsAuthorities() async throws {
        let said = try await described("localhost", authority: model.folder.path + "/server.pem")
        #expect(said.hasPrefix("https://localhost:") && !said.contains(" "), "\(said)")
    }

    @Test func anotherAuthorityOrHostIsRefusedInOneLine() async throws {
        let own = model.folder.path + "/server.pem"
        for (host, authority) in [
            ("localhost", model.folder.path + "/other.pem"), ("localhost", nil), ("127.0.0.1", own),
            ("localhost", model.folder.path + "/missing.pem"),
        ] as [(String, String?)] {
            let said = try await described(host, authority: authority)
            #expect(said.hasPrefix("teachers.default.server: https://\(host):"), "\(said)")
            #expect(said.contains("certificate") || said.contains("SSL") || said.contains("CA"), "\(said)")
            #expect(!said.contains("\n"), "\(said)")
        }
    }
}
