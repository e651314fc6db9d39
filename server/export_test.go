package server

// Conversations are what the tests in package server_test send, too.
var Conversations = conversations
