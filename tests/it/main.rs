//! The integration tests: one binary, a module per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a broken assumption is a failed test"
)]

mod support;

/// Accounting is forwarded to a target: once, in order, whatever goes away meanwhile.
mod accounting;

/// Who sprays passwords, bombs with prompts and guesses codes gets nowhere, and locks nobody out.
mod attacker;

/// The same at the real program, in front of a real domain controller.
mod attacker_ad;

/// The same against two nodes on one database: they count together.
mod attacker_nodes;

/// Caching rules: an approval stands for another sign-in only where a rule says so.
mod caching;

/// Entra and Duo, each against its simulator.
mod clouds;

/// Challenge rounds: asked, answered, attacked.
mod backup_phone;
/// What docs/challenges.md shows, and the built-in client that answers challenges.
mod challenge_page;
mod challenges;

/// CoA and Disconnect, from targets to clients.
mod changes;

/// Every command that the README shows.
mod commands;

/// `anteroom status` and `anteroom outage` as an operator runs them, and what a declared outage does.
mod control;

/// EAP and a RADIUS target's own challenges, in rounds, with the factor behind the last.
mod eap;

/// `kill -9` in the middle of holds lets nobody in and harms nothing.
mod crash;

/// What is explained is what then happens, and explaining it touches nothing.
mod explain;

/// The failure table, routes, and what is told of an outage.
mod failure;

/// RD Gateway: no password, and all the more proof.
mod gateway;

/// One sign-in, one prompt: joins, carry-over, deadlines, cancels, bounds, drain.
mod holds;

/// Imports: a second pass has nothing to do, what goes wrong changes nothing, many leavers are asked about.
mod import;

/// `anteroom import` as its user runs it.
mod import_command;

/// Imports from a real 389 Directory Server.
mod import_389;

/// Imports into PostgreSQL: one node runs them, and another takes over.
mod import_nodes;

/// Imports through `kill -9` of the whole program.
mod import_crash;

/// Imports into PostgreSQL that fail in the middle: nothing changes, nothing is left behind.
mod import_faults_postgres;
mod import_faults_slapd;

/// Imports right after another: nothing to do, whatever directory and store were.
mod import_settles;

/// Imports from directories that cut, point elsewhere and forget.
mod import_tree;

/// Imports from a real Active Directory (Samba) and a real OpenLDAP.
mod import_peers;

/// The directory client against directories that misbehave.
mod ldap_client;

/// Reply attributes by group and by person, as pyrad and radclient read them; dictionaries.
mod replies;

/// What the guides show is accepted.
mod guides;

/// Real LDAP clients: OpenLDAP's tools, ldap3 and python-ldap.
mod ldap_clients;

/// The LDAP door: binds are held, everything else passes, and what it refuses.
mod ldap_door;
/// `anteroom test ldap` tells what an application would meet.
mod ldap_test_command;

/// SASL binds, refused and relayed, with the layers that follow them.
mod ldap_sasl;

/// Large results pass in constant memory; a slow reader stalls only itself.
mod ldap_streaming;

/// Applications that speak LDAP get the directory's own answers, octet for octet.
mod ldap_transparent;

/// Planted secrets never come out anywhere.
mod leaks;

/// `anteroom migrate` as its user runs it.
mod migrate;

/// Mails that an import asks for.
mod mails;
/// One-time bypasses, blocks, fraud reports and lockouts, and the commands that tell of them.
mod measures;

/// What `anteroom check` says of each misconfiguration of each provider.
mod misconfigured;

/// The native protocol, client against simulator.
mod native_provider;

/// What the tests with real peers share: controller, server, client, phone.
mod peers;

/// Every provider against its simulator: the same suite for all.
mod providers;

/// Codes of the store's own tokens: right once, wrong a few times.
mod local_codes;

/// Codes that the house sends itself, by a gateway that may fail.
mod sent_codes;

/// Sign-ins against a real Active Directory domain controller (Samba).
mod peers_ad;

/// Rules: an exhaustive table against a reference, and whole sign-ins.
mod policy_table;

/// What comes before what: blocks, rules, approvals that are kept, bypasses.
mod policy_order;

/// Real RADIUS clients: radclient, pyrad, pam_radius.
mod peers_clients;
/// Challenges of two and three rounds with pyrad.
mod peers_rounds;
/// The same at two nodes of one database in turn, with radclient and pyrad.
mod peers_rounds_nodes;

/// Prompts of two nodes: one for each sign-in, one count for each person.
mod prompts_nodes;

/// Challenges over a restart: a State is good once, and a round goes on or says that it does not.
mod rounds_restart;

/// Rules by nested group, hours and application, in front of a real domain controller.
mod rules_ad;

/// RADIUS servers behind: FreeRADIUS checks, Anteroom asks.
mod radius_targets;

/// RADIUS over TLS: who is served, in what order, and what ends a connection.
mod radsec;

/// Whole conversations, told as text, in virtual time.
mod scenarios;

/// An HTTP proxy on the way to a cloud.
mod proxy;

/// The simulated clouds do what their scenario says.
mod simulate;

/// The vendors' own clients against the simulated clouds.
mod peers_cloud_clients;

/// The provider against a real privacyIDEA server.
mod peers_privacyidea;

/// The user store: one suite for every implementation, and kill -9 at random moments.
mod store;

/// Backup and restore, from and to both databases.
mod store_backup;

/// The commands of the user store, as an administrator types them.
mod store_commands;

/// The user store and kill -9, a hundred times.
mod store_crash;

/// The user store on a real PostgreSQL, alone and as a pair.
mod store_postgres;

/// What the suite of the user store asks of every database.
mod store_suite;

/// What the person is to read reaches them where their client shows it, and nowhere else; words choose ways and devices.
mod texts;

/// The tree is as the documents say.
mod tidy;

/// Every combination of what can happen: no Accept without its two proofs.
mod verdict;

/// MS-CHAPv2 against Active Directory through winbind: its keys, its refusals, and the factor behind it.
mod winbind;
