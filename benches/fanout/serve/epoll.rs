//! The floor: one thread that writes ready bytes.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{HEAD, frame, group_of};
use crate::fanout::control::{Publisher, REPORT};
use crate::fanout::spec::ServerSpec;
use crate::fanout::system::now;

struct Floor {
    epoll: Epoll,
    clients: Vec<TcpStream>,
    groups: Vec<Vec<usize>>,
    publisher: Publisher,
    published: u64,
    grain: u64,
}

pub(super) fn serve(spec: &ServerSpec) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let orders = TcpListener::bind("127.0.0.1:0")?;
    println!("{} {}", listener.local_addr()?, orders.local_addr()?);
    let (mut orders, _) = orders.accept()?;
    orders.set_nodelay(true)?;
    orders.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;

    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(&orders, EpollEvent::new(EpollFlags::EPOLLIN, ORDERS))?;
    let mut floor = Floor {
        epoll,
        clients: Vec::new(),
        groups: vec![Vec::new(); spec.shape.groups],
        publisher: Publisher::new(),
        published: 0,
        grain: spec.kind.grain(),
    };
    let mut events = vec![EpollEvent::empty(); 256];
    loop {
        let count = floor.epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            match event.data() {
                LISTENER => floor.accept(&listener)?,
                ORDERS => floor.obey(&mut orders)?,
                client => floor.join(client as usize)?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let interest = EpollEvent::new(EpollFlags::EPOLLIN, self.clients.len() as u64);
            self.epoll.add(&stream, interest)?;
            self.clients.push(stream);
        }
    }

    /// A client's request has come, which is small enough to come whole.
    fn join(&mut self, client: usize) -> io::Result<()> {
        let mut request = [0; 256];
        let stream = &mut self.clients[client];
        let length = stream.read(&mut request)?;
        let group = group_of(&request[..length]).ok_or(ErrorKind::InvalidData)?;
        stream.write_all(HEAD)?;
        self.epoll.delete(&*stream)?;
        self.groups[group].push(client);
        Ok(())
    }

    fn obey(&mut self, orders: &mut TcpStream) -> io::Result<()> {
        let mut order = [0; 8];
        // Eight bytes are never cut on this machine's own network.
        if let Err(error) = orders.read_exact(&mut order) {
            return match error.kind() {
                // Its load generator has ended.
                ErrorKind::UnexpectedEof => std::process::exit(0),
                _ => Err(error),
            };
        }
        match u64::from_le_bytes(order) {
            REPORT => orders.write_all(&self.publisher.report().to_bytes()),
            order => self.publish_up_to(order),
        }
    }

    fn publish_up_to(&mut self, order: u64) -> io::Result<()> {
        while self.published + self.grain <= order {
            let time = now();
            let group = self.published as usize % self.groups.len();
            let numbers = self.published..self.published + self.grain;
            let bytes: Vec<u8> = numbers.flat_map(|number| frame(number, time)).collect();
            for client in &self.groups[group] {
                // A client that is too slow for its socket's buffer would need a queue, which is
                // no floor any more.
                let written = self.clients[*client].write(&bytes)?;
                if written < bytes.len() {
                    return Err(io::Error::other("a client is too slow for the floor"));
                }
            }
            self.published += self.grain;
        }
        Ok(())
    }
}

const LISTENER: u64 = u64::MAX;
const ORDERS: u64 = u64::MAX - 1;
